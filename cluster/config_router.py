"""The section `router` of cluster.yaml: by which rule the gateway chooses among engines that can serve a request."""

from cluster.config_section import Section
from cluster.router_policy import RouterPolicy, SideCalls, Warming


class RouterSection(Section):
    policy: RouterPolicy = "seconds"
    """`seconds`: the least cost in seconds, which knows each machine's rates, load and caches. The others are there to
    be compared with it: `round-robin` (each in turn), `least-requests`, `power-of-two` (the less busy of two drawn by
    chance), `weighted-sum` (model fit, free memory and queue depth as weighted scores). Who can serve at all is the
    same for each. A change takes effect with the next request."""

    side_calls: SideCalls = "warm"
    """Titles, tags, follow-ups and the like, which front ends ask for by themselves beside a conversation. `warm`: a
    model that is awake answers, in place of one that is not; none starts, leaves or stays awake for them.
    `as_asked`: they are requests like others."""

    warming: Warming = "off"
    """`on`: a machine that has been idle for some seconds reads beginnings of prompts ahead which several sessions of a
    tenant share (a document, tools, a system prompt), in pieces of a second, and stops when a request comes. It helps
    where several machines serve a model and one of them has a large cache; it takes power where nothing took any, and
    until it is read such a beginning stays in the gateway's memory (8 MiB in all, ten minutes at most)."""
