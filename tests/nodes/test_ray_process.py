import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from inventory.clock import SystemClock
from nodes.ray_process import RayProcess, RayRun, RayUnfitError, next_wait_s, read_lease, reap
from support.nodes import until
from support.ray_families import FAMILY, a_run


def members(run: RayRun) -> list[int]:
    """Whoever lives in the session that the lease names."""
    lease = read_lease(run.lease_file)
    if lease is None:
        return []
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == lease.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def leader(run: RayRun) -> int:
    lease = read_lease(run.lease_file)
    assert lease is not None
    return lease.pid


@asynccontextmanager
async def supervised(run: RayRun) -> AsyncIterator[RayProcess]:
    """A family under a daemon that stops in order at the end."""
    stop, process = asyncio.Event(), RayProcess(lambda: run, SystemClock(), stop_grace_s=0.5, look_every_s=0.02)
    task = asyncio.create_task(process.run(stop))
    try:
        yield process
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def a_whole_family(run: RayRun) -> list[int]:
    await until(lambda: len(members(run)) >= 3, "leader and children run")
    return members(run)


async def test_stopping_ends_every_member_whatever_group_it_is_in(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    async with supervised(run):
        family = await a_whole_family(run)

    await until(lambda: not any(map(_alive, family)), "every member is gone")
    assert not run.lease_file.exists()


async def test_a_family_that_loses_its_leader_is_ended_and_started_again(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    async with supervised(run):
        old = await a_whole_family(run)
        first = leader(run)
        os.kill(first, signal.SIGKILL)
        await until(lambda: run.lease_file.exists() and leader(run) != first, "another leader")

        assert not set(members(run)) & set(old)


async def test_a_daemon_that_was_cancelled_leaves_its_family_to_the_next_one(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    task = asyncio.create_task(RayProcess(lambda: run, SystemClock()).run(asyncio.Event()))
    family = await a_whole_family(run)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(members(run)) == set(family)

    async with supervised(run) as next_daemon:
        await until(lambda: next_daemon.state == "running", "adopted")
        assert set(members(run)) == set(family)


async def test_a_family_that_was_started_with_other_settings_is_replaced(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    task = asyncio.create_task(RayProcess(lambda: run, SystemClock()).run(asyncio.Event()))
    await a_whole_family(run)
    before = leader(run)
    task.cancel()
    changed = replace(run, command=replace(run.command, environment=(("HOME", "/"),)))
    async with supervised(changed):
        await until(lambda: leader(run) != before, "another leader")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_renewed_certificate_starts_the_family_again_at_once(tmp_path: Path) -> None:
    certificate = tmp_path / "node.crt"
    certificate.write_text("first")
    run = a_run(tmp_path, FAMILY, certificate)
    async with supervised(run):
        await a_whole_family(run)
        before = leader(run)
        certificate.write_text("second")
        await until(lambda: run.lease_file.exists() and leader(run) != before, "another leader", deadline_s=5)


async def test_a_family_that_is_wanted_no_longer_ends_and_comes_back_when_it_is(tmp_path: Path) -> None:
    run, wanted, stop = a_run(tmp_path), True, asyncio.Event()
    task = asyncio.create_task(RayProcess(lambda: run if wanted else None, SystemClock(), 0.5, 0.02).run(stop))
    family = await a_whole_family(run)
    wanted = False
    await until(lambda: not any(map(_alive, family)), "every member is gone")
    wanted = True
    await a_whole_family(run)
    stop.set()
    await task


async def test_a_plan_that_fails_for_now_ends_nothing(tmp_path: Path) -> None:
    run, failure, stop = a_run(tmp_path), "", asyncio.Event()

    def plan() -> RayRun:
        if failure:
            raise RayUnfitError(failure)
        return run

    task = asyncio.create_task(RayProcess(plan, SystemClock(), 0.5, 0.02).run(stop))
    family = await a_whole_family(run)
    failure = "the disk is full"
    await asyncio.sleep(0.2)
    assert set(members(run)) == set(family)
    stop.set()
    await task


async def test_what_ray_needs_to_find_is_there_before_it_starts_and_its_old_sessions_are_not(tmp_path: Path) -> None:
    run = a_run(tmp_path, "test -f home/stub.yaml && test ! -e t/ray_current_cluster && sleep 600")
    run.temp_dir.mkdir()
    (run.temp_dir / "ray_current_cluster").write_text("10.0.0.1:8410")
    for number in range(4):
        (run.temp_dir / f"session_{number}").mkdir()
    async with supervised(run):
        await until(lambda: members(run), "it runs")

        assert sorted(path.name for path in run.temp_dir.iterdir()) == ["session_2", "session_3"]


async def test_a_store_with_which_the_head_only_dies_is_dropped(tmp_path: Path) -> None:
    run = a_run(tmp_path, "test ! -e store/damage && sleep 600")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "damage").touch()
    async with supervised(run):
        await until(lambda: members(run), "it runs without the damage")


async def test_reap_ends_a_family_without_a_daemon(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    task = asyncio.create_task(RayProcess(lambda: run, SystemClock()).run(asyncio.Event()))
    family = await a_whole_family(run)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert reap(run.lease_file)
    await until(lambda: not any(_runs(pid) for pid in family), "nobody is left")
    assert not reap(run.lease_file)


def test_each_death_soon_after_a_start_doubles_the_wait() -> None:
    assert [next_wait_s(deaths) for deaths in (0, 1, 2, 3, 9)] == [1.0, 1.0, 2.0, 4.0, 15.0]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
