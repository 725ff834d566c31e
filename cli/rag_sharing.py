"""Who may do what with a space: what `potluck rag share` says, and what `ingest` says of a space that it makes."""

from collections.abc import Sequence
from dataclasses import dataclass

import typer

from cluster.pii.policy import Policy
from router.knowledge.objects import StoreObject


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to hold of a space from now on. `owns`: what is granted is all that its owners may. None leaves a thing
    as it is; a `licence` of "" ends one."""

    given: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    owns: bool = False
    data_class: str | None = None
    licence: str | None = None
    pii: Policy | None = None

    def of_new(self) -> dict[str, object]:
        """As a space is made with them."""
        said = {"data_class": self.data_class, "licence": self.licence, "pii": self.pii}
        return {"readers": list(self.given)} | {name: value for name, value in said.items() if value is not None}

    def of_known(self, space: StoreObject) -> dict[str, object]:
        """What of a space has to change; empty: nothing. Raises typer.BadParameter."""
        more = space.potluck
        held = [*more.owners, *(more.readers or [])]
        for grant in self.taken:
            if grant not in held:
                said = f"{grant} is not granted; there is {', '.join(held)}"
                raise typer.BadParameter(said, param_hint="--unshare")
        owners = _with(more.owners, self.given if self.owns else (), self.taken)
        readers = _with(more.readers or [], () if self.owns else self.given, self.taken)
        wanted: dict[str, tuple[object, object]] = {
            "owners": (owners, more.owners),
            "readers": (readers, more.readers or []),
            "data_class": (self.data_class or more.data_class, more.data_class),
            "licence": ((more.licence or "") if self.licence is None else self.licence, more.licence or ""),
            "pii": (self.pii or more.pii, more.pii),
        }
        return {name: value for name, (value, held) in wanted.items() if value != held}


def _with(held: Sequence[str], given: Sequence[str], taken: Sequence[str]) -> list[str]:
    return [grant for grant in dict.fromkeys([*held, *given]) if grant not in taken]
