"""cluster.yaml -> ClusterConfig, or one ConfigError that names everything wrong with it at once."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cluster.config import ClusterConfig
from cluster.config_problems import ConfigError, ConfigProblem, did_you_mean, explain
from cluster.privacy import USUAL_ZONE
from cluster.yaml_tree import Path as YamlPath
from cluster.yaml_tree import Value, YamlTree, parse_yaml

MAX_TEXT_BYTES = 1 << 20
MAX_FILE_VALUE_BYTES = 64 << 10

_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")
_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration beside the text it came from. Substituted values are in `config` only."""

    config: ClusterConfig
    text: str

    @property
    def config_hash(self) -> str:
        """Covers the text and what it means: a changed environment variable is another configuration."""
        return hashlib.sha256(f"{self.text}\0{self.config.model_dump_json()}".encode()).hexdigest()


def load_config(path: Path, environment: Mapping[str, str] = os.environ) -> LoadedConfig:
    """Raises ConfigError, also for a file that is missing or cannot be read."""
    try:
        raw = path.read_bytes()[: MAX_TEXT_BYTES + 1]
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(str(path), [ConfigProblem((), None, f"cannot be read: {reason}")]) from error
    return parse_config(text, str(path), environment)


def parse_config(text: str, name: str, environment: Mapping[str, str] = os.environ) -> LoadedConfig:
    """`name` is what errors call the text. Raises ConfigError."""
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise ConfigError(name, [ConfigProblem((), None, f"is larger than {MAX_TEXT_BYTES} bytes")])
    tree = parse_yaml(text)
    problems = [ConfigProblem(problem.path, problem.line, problem.message) for problem in tree.problems]
    substitution = _Substitution(environment, tree, problems)
    value = substitution.apply(tree.value, ())
    unreadable = {problem.path for problem in problems}
    config: ClusterConfig | None = None
    # A text that is not YAML at all would only add "version is missing" to the real problem.
    if () not in unreadable:
        try:
            config = ClusterConfig.model_validate(value)
        except ValidationError as error:
            explained = map(explain, error.errors(include_url=False))
            problems += [_at(tree, path, message) for path, message in explained if path not in unreadable]
    if config is not None:
        problems += [_at(tree, path, message) for path, message in cross_check(config)]
    if problems or config is None:
        raise ConfigError(name, sorted(problems, key=lambda problem: problem.line or 0))
    return LoadedConfig(config, text)


def cross_check(config: ClusterConfig) -> list[tuple[YamlPath, str]]:
    """What no section can see alone: names that must exist elsewhere in the file."""
    found: list[tuple[YamlPath, str]] = []
    for model, section in config.models.items():
        found += _unknown_nodes(config, ("models", model, "on"), section.on)
        found += _unknown_nodes(config, ("models", model, "prefer"), section.prefer)
        for node in section.on:
            found += _engine_conflict(config, model, node)
        for index, node in enumerate(section.prefer):
            if section.on and node not in section.on:
                found.append((("models", model, "prefer", index), f'`on` does not list "{node}"'))
        found += _unknown_models(config, ("models", model, "fallback"), section.fallback, but=model)
    for name, route in config.routes.items():
        targets = (*(rule.model for rule in route.rules), route.otherwise)
        found += _unknown_models(config, ("routes", name), dict.fromkeys(targets))
        if name in config.models or name in config.aliases:
            found.append((("routes", name), "a model or an alias has this name already"))
    for name, rule in config.privacy.classes.items():
        found += _unknown_zones(config, ("privacy", "classes", name, "zones"), rule.zones or ())
    return found + _alias_problems(config)


def _alias_problems(config: ClusterConfig) -> list[tuple[YamlPath, str]]:
    found: list[tuple[YamlPath, str]] = []
    for alias, target in config.aliases.items():
        if target not in config.models:
            hint = did_you_mean(target, config.models)
            found.append((("aliases", alias), f'no model "{target}" under `models`{hint}'))
        if alias in config.models:
            found.append((("aliases", alias), "a model has this name already"))
    return found


def _unknown_nodes(config: ClusterConfig, path: YamlPath, nodes: Sequence[str]) -> list[tuple[YamlPath, str]]:
    found: list[tuple[YamlPath, str]] = []
    for index, node in enumerate(nodes):
        if config.nodes and node not in config.nodes:
            hint = did_you_mean(node, config.nodes)
            found.append(((*path, index), f'no node "{node}" under `nodes`{hint}'))
        elif node in nodes[:index]:
            found.append(((*path, index), f'"{node}" is listed twice'))
    return found


def _unknown_zones(config: ClusterConfig, path: YamlPath, zones: Sequence[str]) -> list[tuple[YamlPath, str]]:
    """A machine that is named nowhere is in the usual zone, if machines need no entry at all."""
    known = {node.zone for node in config.nodes.values()} or {USUAL_ZONE}
    found: list[tuple[YamlPath, str]] = []
    for index, zone in enumerate(zones):
        if zone not in known:
            said = f'no machine is in the zone "{zone}": set `nodes.NAME.zone`{did_you_mean(zone, known)}'
            found.append(((*path, index), said))
    return found


def _unknown_models(
    config: ClusterConfig, path: YamlPath, names: Iterable[str], but: str = ""
) -> list[tuple[YamlPath, str]]:
    found: list[tuple[YamlPath, str]] = []
    for name in names:
        if name not in config.models:
            found.append((path, f'no model "{name}" under `models`{did_you_mean(name, config.models)}'))
        elif name == but:
            found.append((path, f'"{name}" cannot stand in for itself'))
    return found


def _engine_conflict(config: ClusterConfig, model: str, node: str) -> list[tuple[YamlPath, str]]:
    section = config.models[model]
    allowed = config.nodes[node].engines if node in config.nodes else ()
    if not allowed:
        return []
    wanted = {section.engine} if section.engine else set(section.sources)
    if not wanted or wanted & set(allowed):
        return []
    kinds = ", ".join(sorted(str(kind) for kind in wanted))
    return [(("models", model, "on"), f'wants {kinds}, but node "{node}" runs only {", ".join(allowed)}')]


def _at(tree: YamlTree, path: YamlPath, message: str) -> ConfigProblem:
    return ConfigProblem(path, tree.line_of(path), message)


class _Substitution:
    """Replaces ${env:NAME:-default} and ${file:/path} in values, never in keys."""

    def __init__(self, environment: Mapping[str, str], tree: YamlTree, problems: list[ConfigProblem]) -> None:
        self._environment = environment
        self._tree = tree
        self._problems = problems

    def apply(self, value: Value, path: YamlPath) -> Value:
        if isinstance(value, str):
            return _SUBSTITUTION.sub(self._replacer(path), value) if "${" in value else value
        if isinstance(value, Mapping):
            return {key: self.apply(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _replacer(self, path: YamlPath) -> Callable[[re.Match[str]], str]:
        def replace(match: re.Match[str]) -> str:
            try:
                return self._resolve(match.group(1))
            except ValueError as error:
                self._problems.append(_at(self._tree, path, str(error)))
                return ""

        return replace

    def _resolve(self, expression: str) -> str:
        environment = _ENVIRONMENT.fullmatch(expression)
        if environment is not None:
            name: str = environment[1]
            default: str | None = environment[2]
            value = self._environment.get(name, default)
            if value is None:
                raise ValueError(f"environment variable {name} is not set; or write a default: ${{env:{name}:-VALUE}}")
            return value
        if expression.startswith("file:/"):
            return _read_value(Path(expression.removeprefix("file:")))
        raise ValueError(
            f"${{{expression}}} is not known; only ${{env:NAME}}, ${{env:NAME:-default}} and ${{file:/path}}"
        )


def _read_value(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_VALUE_BYTES + 1)
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"{path} cannot be read: {reason}") from error
    if len(raw) > MAX_FILE_VALUE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_VALUE_BYTES} bytes")
    return text.strip()
