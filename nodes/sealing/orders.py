"""What the head tells a member about sealed mode, and the member's following it: at once, and after every start."""

from inventory.paths import StatePaths
from nodes.api_wire import SealedOrder
from nodes.sealing.place import SealedRules, rules_for, seal_this_process, sealed_variables, write_rules


def follow(paths: StatePaths, order: SealedOrder) -> None:
    """The daemon is sealed from here on, and so is whatever it starts; its other services, at their next start.

    Raises OSError.
    """
    if order.sealed:
        write_rules(paths, rules_for(order.networks, order.hosts))
        if not sealed_variables():
            seal_this_process(paths)
    elif paths.sealed.exists():
        write_rules(paths, SealedRules(False))
