"""What macOS charges a process for: its footprint, which is what Activity Monitor shows as its memory.

psutil's unique set size needs the right to debug the other process, which an ordinary user does not have there
(livekit/agents#6082), and the resident size leaves out what a process gave to the GPU (Signet-AI/signetai#1006). The
kernel's own ledger covers it, and libproc tells it to whoever owns the process.
"""

import ctypes
import os
import struct

_RUSAGE_INFO_V0 = 0
_BUFFER_BYTES = 512  # version 0 takes 96; room to spare, should a system write more than it was asked for
_FOOTPRINT = struct.Struct("<72xQ")  # ri_phys_footprint of struct rusage_info_v0, after a UUID and seven counters


def footprint_bytes(pid: int) -> int:
    """macOS only. Raises ProcessLookupError where there is no such process, PermissionError where it is another's."""
    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
    if library.proc_pid_rusage(pid, _RUSAGE_INFO_V0, buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return parse_footprint(buffer.raw)


def parse_footprint(rusage_info: bytes) -> int:
    size_bytes: int = _FOOTPRINT.unpack_from(rusage_info)[0]
    return size_bytes
