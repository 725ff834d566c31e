"""The fault engine where a node looks for llama.cpp: an environment whose python starts it, at rates of its own."""

import sys
from pathlib import Path

import msgspec

from nodes.engine_envs import MARKER, EngineEnvironment, python_of
from support.engines import FAULT_ENGINE

# The command line of nodes/engines/llamacpp.py: an option and its value, after the script that the real one runs.
_PYTHON = """#!{python} -I
import os, sys
words = sys.argv[sys.argv.index("--model") :]
given = dict(zip(words[::2], words[1::2]))
same = [word for name in ("--port", "--slots", "--api-key-file") for word in (name, given[name])]
engine = [sys.executable, "-I", {engine!r}, "--dialect", "llamacpp", "--model-name", given["--alias"]]
os.execv(sys.executable, [*engine, *same, *{flags!r}])
"""


def install_fault_engine(engines_dir: Path, *flags: str) -> Path:
    """`flags` are those of `python fault_engine --help`. Returns the directory, for POTLUCK_ENGINES_DIR."""
    python = python_of(engines_dir, "llamacpp")
    python.parent.mkdir(parents=True)
    python.write_text(_PYTHON.format(python=sys.executable, engine=str(FAULT_ENGINE), flags=flags))
    python.chmod(0o700)
    marker = EngineEnvironment("llamacpp", "fault", str(python), lock_sha256="", installed_s=0.0)
    (engines_dir / "llamacpp" / MARKER).write_bytes(msgspec.json.encode(marker))
    return engines_dir
