"""What a client must be told, as text to copy: its files, variables of its shell, or a few lines of a program."""

import shlex

from cli.connect_merge import merged
from cli.connect_setup import Setup


def setup_text(setup: Setup) -> str:
    parts = [f"# {file.path}\n{merged(file.form, None, file.tree).rstrip()}" for file in setup.files]
    if setup.environment:
        parts.append(f"# in the shell that starts it\n{exports(setup)}")
    if setup.snippet:
        parts.append(setup.snippet)
    return "\n\n".join(parts)


def exports(setup: Setup) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in setup.environment)
