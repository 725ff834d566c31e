"""What keeps the libraries that potluck runs from speaking to their makers, as variables of a process's environment.

One list for every process: a library reads what it knows and passes over the rest.
"""

from collections.abc import Iterable, Mapping

SILENT = (
    ("ANONYMIZED_TELEMETRY", "False"),
    ("AWS_EC2_METADATA_DISABLED", "true"),  # nobody asks a cloud where he runs
    ("DISABLE_TELEMETRY", "true"),  # Weaviate, and others after it
    ("DO_NOT_TRACK", "1"),
    ("GRADIO_ANALYTICS_ENABLED", "False"),
    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("NO_GCE_CHECK", "true"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    # It reports that reporting is off, unless misled.
    ("RAY_USAGE_STATS_REPORT_URL", "http://127.0.0.1:9/"),
    ("VLLM_DO_NOT_TRACK", "1"),
    ("VLLM_NO_USAGE_STATS", "1"),
    ("WANDB_MODE", "disabled"),
)
"""Of every process that potluck starts, whether it is sealed or not."""

OFFLINE = (
    *SILENT,
    ("HF_DATASETS_OFFLINE", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("TRANSFORMERS_OFFLINE", "1"),
)
"""Of what runs in an engine's environment: what it needs lies on this machine, or it does not start."""

SEALED = (
    *OFFLINE,
    ("NO_PROXY", "*"),
    ("PIP_NO_INDEX", "1"),
    ("RES_OPTIONS", "timeout:1 attempts:1"),  # a lookup that C code makes all the same ends soon
    ("UV_OFFLINE", "1"),
    ("no_proxy", "*"),
)
"""Of every process of a sealed cluster."""

PROXIES = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "ws_proxy", "wss_proxy"})


def without_proxies(names: Iterable[str]) -> tuple[str, ...]:
    """Those of these variables that send a library to a proxy, which would lead out of the cluster."""
    return tuple(name for name in names if name.lower() in PROXIES)


def sealed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """This environment with every known leak off."""
    left_out = set(without_proxies(environment))
    return {name: value for name, value in environment.items() if name not in left_out} | dict(SEALED)
