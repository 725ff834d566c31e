"""The footprint of a process on macOS: the layout that Apple's <sys/resource.h> gives, and the real call on a Mac."""

import os
import struct
import sys

import pytest

from inventory.mac_footprint import footprint_bytes, parse_footprint


def test_the_footprint_is_the_eighth_counter_after_the_uuid() -> None:
    # struct rusage_info_v0: ri_uuid[16], then user_time, system_time, pkg_idle_wkups, interrupt_wkups, pageins,
    # wired_size, resident_size, phys_footprint, proc_start_abstime, proc_exit_abstime.
    info = bytes(16) + struct.pack("<10Q", 1, 2, 3, 4, 5, 6, 7, 8 << 30, 9, 10)

    assert parse_footprint(info.ljust(512, b"\0")) == 8 << 30


@pytest.mark.skipif(sys.platform != "darwin", reason="a call of macOS")
def test_a_mac_tells_our_own_footprint() -> None:
    assert footprint_bytes(os.getpid()) > 1 << 20
    with pytest.raises(ProcessLookupError):
        footprint_bytes(99_999_999)
