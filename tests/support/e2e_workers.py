"""End-to-end tests in two workers: one has those with several hosts, which wait a good deal, the other all the rest,
which share what they start. Whatever looks at time or at free memory runs after them, alone."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

HOSTS = ("tests/cluster/test_discover.py", "tests/cluster/test_ray_cluster.py", "tests/cluster/test_three_hosts.py")


def half_of(nodeid: str) -> str:
    return "hosts" if nodeid.startswith(HOSTS) else "machine"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """For `--dist loadscope`, which nothing but these tests is started with. Groups of marks get lost: xdist 3.8 writes
    them where pytest 9.2 looks no longer."""
    if config.getvalue("dist") != "loadscope":
        return None
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = half_of
    return scheduler
