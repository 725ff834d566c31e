"""How help is written: commands by subject, each with its whole first paragraph.

It is plain text. Markup would take `[@REV]` in an explanation for a style and leave it out, and the library that reads
markup takes longer to load than all of this command.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from typer.core import TyperGroup

MAX_WIDTH = 120
RUN, MACHINES, MODELS = "This machine", "Machines", "Models and engines"
DOCUMENTS, ACCESS, RECORDS, SERVICES = (
    "Documents",
    "Access and configuration",
    "What happened",
    "Services, as `up` runs them",
)
SUBJECTS = (RUN, MACHINES, MODELS, DOCUMENTS, ACCESS, RECORDS, SERVICES)  # in this order

Rows = list[tuple[str, str]]


class Writer(Protocol):
    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Rows) -> None: ...


class Commands(TyperGroup):
    """A group of commands that cuts no explanation short. Commands say with `rich_help_panel` where they belong.

    Contexts are Any: what Typer passes is a class that it does not publish.
    """

    _own_options_given = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        self._own_options_given = not args or args[0].startswith("-")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """None where a command comes first: to convert values that are not given would load a library for nothing,
        which takes as long as the rest."""
        return super().get_params(ctx) if self._own_options_given else []

    def format_commands(self, ctx: Any, formatter: Writer) -> None:
        sections: dict[str, Rows] = {subject: [] for subject in SUBJECTS}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                subject = getattr(command, "rich_help_panel", None) or "Commands"
                sections.setdefault(subject, []).append((name, first_paragraph(command.help or "")))
        width = _widest(sections.values())
        for subject, rows in sections.items():
            if not rows:
                continue
            with formatter.section(subject):
                formatter.write_dl([(name.ljust(width), told) for name, told in rows])


def first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _widest(sections: Iterable[Rows]) -> int:
    """The explanations of all sections stand in one column."""
    return max((len(name) for rows in sections for name, _ in rows), default=0)
