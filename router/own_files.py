"""The gateway's own files as it starts: opened, or done without, which its log says."""

import sqlite3
from pathlib import Path

from inventory.clock import Clock
from inventory.paths import StatePaths
from router.batches.store import BatchesVersionError, BatchStore
from router.cache_store import CacheStore, CacheVersionError
from router.dispatcher import Dispatcher
from router.log import EventLog
from router.usage_reading import used_since
from router.view import GatewayView


def opened_cache(path: Path, view: GatewayView, clock: Clock, log: EventLog) -> CacheStore | None:
    """None where the file cannot be used: every answer then comes from an engine."""
    try:
        return CacheStore(path, clock, lambda: view.cache_rules.size_bytes)
    except (sqlite3.Error, CacheVersionError) as error:
        log.emit("cache_not_used", error=str(error))
        return None


def opened_batches(paths: StatePaths, log: EventLog) -> BatchStore | None:
    """None where its files cannot be used: whoever asks for a batch is told so."""
    try:
        store = BatchStore(paths)
        store.sweep_folder()
        return store
    except (sqlite3.Error, OSError, BatchesVersionError) as error:
        log.emit("batches_not_kept", error=str(error))
        return None


def restore_limits(dispatcher: Dispatcher, telemetry_db: Path, log: EventLog) -> None:
    """Limits of a day go on where the gateway before this one ended."""
    limits = dispatcher.limits
    try:
        limits.restore(used_since(telemetry_db, limits.midnight_s()))
    except sqlite3.Error as error:
        log.emit("limits_not_restored", error=str(error))
