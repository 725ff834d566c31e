"""Every check of the doctor, in the order in which it tells.

Modules are imported when a check looks: where a package is missing, that costs what needs it, and is told.
"""

from collections.abc import Iterable
from importlib import import_module

from cli.checks.finding import Check, Look, Result, Topic
from cli.checks.situation import Situation


def _in(module: str, name: str) -> Look:
    def look(situation: Situation) -> Iterable[Result]:
        results: Iterable[Result] = getattr(import_module(f"cli.checks.{module}"), name)(situation)
        return results

    return look


CHECKS: tuple[Check, ...] = (
    Check("rooms", "general", _in("installation", "check_rooms")),
    Check("python", "general", _in("installation", "check_python")),
    Check("state", "general", _in("state", "check_state")),
    Check("secrets", "general", _in("state", "check_secrets")),
    Check("config", "general", _in("state", "check_config")),
    Check("records", "general", _in("records", "check_records")),
    Check("open files", "general", _in("installation", "check_open_files")),
    Check("services", "general", _in("running", "check_services")),
    Check("answers", "general", _in("running", "check_answers")),
    Check("leftovers", "general", _in("running", "check_leftovers")),
    Check("audit", "general", _in("records", "check_audit")),
    Check("file system", "disk", _in("disk", "check_file_system")),
    Check("disk", "disk", _in("disk", "check_room")),
    Check("models", "disk", _in("models", "check_models"), within_s=60.0),
    Check("unfinished", "disk", _in("models", "check_unfinished")),
    Check("memory", "gpu", _in("memory", "check_memory")),
    Check("container", "gpu", _in("memory", "check_container")),
    Check("pressure", "gpu", _in("memory", "check_pressure")),
    Check("nvidia", "gpu", _in("gpu", "check_nvidia")),
    Check("mac", "gpu", _in("gpu", "check_mac")),
    Check("engines", "engine", _in("engines", "check_engines")),
    Check("loading", "engine", _in("engines", "check_loading"), within_s=250.0),
    Check("compiler", "engine", _in("engines", "check_compiler")),
    Check("running", "engine", _in("engines", "check_running_engines")),
    Check("served", "engine", _in("engines", "check_served_models")),
    Check("ports", "net", _in("ports", "check_ports")),
    Check("addresses", "net", _in("ports", "check_addresses")),
    Check("names", "net", _in("ports", "check_names")),
    Check("certificates", "net", _in("certificates", "check_certificates")),
    Check("authority", "net", _in("certificates", "check_authority")),
    Check("https", "net", _in("certificates", "check_https")),
    Check("head", "net", _in("reach", "check_head")),
    Check("ray", "net", _in("reach", "check_ray")),
    Check("versions", "net", _in("installation", "check_versions")),
    Check("sealed", "net", _in("sealed", "check_sealed")),
    Check("nodes", "net", _in("machines", "check_nodes")),
    Check("links", "net", _in("machines", "check_links")),
    Check("clocks", "net", _in("machines", "check_clocks")),
)


def checks_of(topic: Topic | None) -> tuple[Check, ...]:
    """All of them without a topic."""
    return tuple(check for check in CHECKS if topic in (None, check.topic))
