"""What is shipped for Prometheus and Grafana: every expression in it."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
_METRIC = re.compile(r"\bpotluck_[a-z0-9_]+")
_SELECTOR = re.compile(r"\b(potluck_[a-z0-9_]+)\{([^}]*)\}")
_LABEL = re.compile(r'([a-z_]+)\s*=~?\s*"([^"]*)"')


def alerts() -> dict[str, str]:
    """Their expressions by name."""
    document = yaml.safe_load(RULES.read_text())
    return {rule["alert"]: rule["expr"] for group in document["groups"] for rule in group["rules"]}


def panels(*dashboards: str) -> dict[str, str]:
    """Expressions by the panel's title and their own letter, of these dashboards or of all."""
    paths = [path for path in DASHBOARDS if not dashboards or path.stem in dashboards]
    found: list[dict[str, Any]] = [panel for path in paths for panel in json.loads(path.read_text())["panels"]]
    return {
        f"{panel['title']} ({target['refId']})": target["expr"]
        for panel in found
        for target in panel.get("targets", ())
    }


def metrics_in(expression: str) -> set[str]:
    return set(_METRIC.findall(expression))


def selected(expression: str) -> list[tuple[str, str, list[str]]]:
    """(metric, label, values) of what an expression picks by label."""
    return [
        (metric, label, values.split("|"))
        for metric, labels in _SELECTOR.findall(expression)
        for label, values in _LABEL.findall(labels)
    ]
