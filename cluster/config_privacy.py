"""The section `privacy` of cluster.yaml: which classes there are, and in which zones each may be."""

from typing import Annotated

from pydantic import Field

from cluster.config_section import Section
from cluster.config_values import NodeName, PublicName
from cluster.privacy import USUAL_CLASS, ClassRule


class ClassSection(Section):
    zones: Annotated[tuple[NodeName, ...], Field(min_length=1, max_length=64)] | None = None
    """Where what is of this class may be sent and kept: zones as `nodes.NAME.zone` has them. The gateway's machine must
    be in one of them, as everything passes through it. Absent: anywhere."""


class PrivacySection(Section):
    """Privacy classes. A request has every class of what goes into it: its key's, those it names in the header
    `x-potluck-data-class`, and those of the documents that it is given. It may go where all of them may."""

    classes: dict[PublicName, ClassSection] = {}
    """By name. `private`, the class of keys that name no other, is always there, and may go anywhere unless it has an
    entry here. A class without an entry is refused wherever somebody names it."""

    def rules(self) -> tuple[ClassRule, ...]:
        """Sorted by name, the usual class among them."""
        usual = {USUAL_CLASS: ClassRule(USUAL_CLASS)}
        named = {name: ClassRule(name, section.zones) for name, section in self.classes.items()}
        return tuple(rule for _, rule in sorted({**usual, **named}.items()))
