"""Runs checks against one server: those that test its patience beside all the others, which come one by one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import httpx2

from cli.conformance.server import Facts, Server, Target, reached
from cli.conformance.survey import survey
from cli.conformance.verdicts import Check, Result, Seen, Verdict, failed


@dataclass(frozen=True, slots=True)
class Report:
    url: str
    facts: Facts
    results: tuple[Result, ...]
    took_s: float

    def count(self, verdict: Verdict) -> int:
        return sum(result.seen.verdict == verdict for result in self.results)


async def run(target: Target, checks: Sequence[Check], tell: Callable[[Result], None] = lambda _: None) -> Report:
    """`tell` is called with each result as it comes. Raises what `survey` raises."""
    began = monotonic()
    async with reached(target) as bare:
        server = bare.with_facts(await survey(bare))
        async with asyncio.TaskGroup() as group:
            beside = {check: group.create_task(_one(check, server, tell)) for check in checks if check.beside}
            found = {check: await _one(check, server, tell) for check in checks if not check.beside}
        found |= {check: task.result() for check, task in beside.items()}
        return Report(target.url, server.facts, tuple(found[check] for check in checks), monotonic() - began)


async def _one(check: Check, server: Server, tell: Callable[[Result], None]) -> Result:
    began = monotonic()
    result = Result(check, await _seen(check, server), monotonic() - began)
    tell(result)
    return result


async def _seen(check: Check, server: Server) -> Seen:
    """Whatever a server does to its client is an answer too."""
    try:
        async with asyncio.timeout(check.deadline_s):
            return await check.run(server)
    except (TimeoutError, httpx2.TimeoutException):
        return failed("no answer in time")
    except (httpx2.HTTPError, OSError, asyncio.IncompleteReadError) as error:
        return failed(f"the connection broke: {str(error) or type(error).__name__}")
