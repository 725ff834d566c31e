"""What the head tells a member about sealed mode, and the member's following it: at once, and after every start.

A machine whose own operator sealed it stays sealed, whatever its head says.
"""

from inventory.paths import StatePaths
from nodes.api_wire import SealedOrder
from nodes.sealing.place import SealedRules, asked_here, rules_for, seal_this_process, sealed_variables, write_rules


def follow(paths: StatePaths, order: SealedOrder) -> None:
    """The daemon is sealed from here on, and so is whatever it starts; its other services, at their next start.

    Raises OSError.
    """
    if order.sealed:
        write_rules(paths, rules_for(order.networks, order.hosts))
        if not sealed_variables():
            seal_this_process(paths)
    elif paths.sealed.exists() and not asked_here(paths):
        write_rules(paths, SealedRules(False))
