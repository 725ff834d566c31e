"""Which exit code an error ends with. Errors of our own classes are for people; any other is a defect."""

ROOMS = frozenset({"inventory", "nodes", "cluster", "router", "rag", "cli"})

SPECIAL = {
    "ConfigError": 2,
    "SourceError": 2,
    "InvalidNameError": 2,
    "BadTokenError": 2,
    "NoSuchCheckError": 2,
    "HeadSilentError": 6,
    "DamagedModelError": 3,
    "ModelNotFoundError": 4,
    "NodeNotFoundError": 4,
    "KeyNotFoundError": 4,
    "NoAuditError": 4,
    "NoUsageError": 4,
    "NoCacheError": 4,
    "NoBatchesError": 4,
    "NoDecisionsError": 4,
    "DecisionNotFoundError": 4,
    "NothingToExportError": 4,
    "NoSuchModelError": 4,
    "NoSuchSpaceError": 4,
    "NoSuchFileError": 4,
    "UnknownSpaceError": 4,
    "NothingKeptError": 4,
    "AuditDamagedError": 3,
    "NotAnExportError": 3,
    "NotAReportError": 3,
    "NeverSealedError": 4,
    "LabelError": 2,
    "QuestionsError": 2,
    "WhichSpaceError": 2,
    "NoWeaviateNamedError": 2,
    "UnknownQuantisationError": 2,
    "NotRunningError": 6,
    "EndpointSilentError": 6,
    "ServerSilentError": 6,
    "GatewayElsewhereError": 6,
    "HeadAwayError": 6,
    "HeadUnreachableError": 6,
    "StillStartingError": 7,
    "StillDrainingError": 7,
}
BY_CODE = {"audit_unavailable": 1}  # a 503, and yet there is somebody to talk to
BY_STATUS = {401: 5, 403: 5, 404: 4, 408: 7, 503: 6, 504: 7}


def exit_code_of(error: Exception) -> int | None:
    """The exit code (docs/cli.md) of an error of ours, or None for one that nobody expected.

    An error that carries an HTTP status ends with the code that this status stands for.
    """
    if type(error).__module__.split(".")[0] not in ROOMS:
        return None
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return BY_CODE.get(getattr(error, "code", ""), BY_STATUS.get(status, 1))
    return SPECIAL.get(type(error).__name__, 1)
