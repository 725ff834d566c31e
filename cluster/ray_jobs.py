"""Jobs of the whole cluster, as Ray tasks on its nodes: handed to the bridge of this machine."""

from collections.abc import Sequence
from pathlib import Path

import httpx2
import msgspec

from cluster.jobs import JobFabricDownError, JobKind, JobOutcome, JobPart
from nodes.unix_server import unix_client

JOB_TIMEOUT_S = 24 * 3600.0  # hashing a terabyte from a slow disk


class RayJobs:
    """Implements cluster.jobs.JobFabric."""

    def __init__(self, bridge: Path) -> None:
        self._bridge = bridge

    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        try:
            async with unix_client(self._bridge, JOB_TIMEOUT_S) as client:
                answer = await client.post(f"/jobs/{kind}", content=msgspec.json.encode(parts))
        except httpx2.HTTPError as error:
            raise JobFabricDownError(f"Ray is down: no bridge answers at {self._bridge} ({error})") from error
        if answer.status_code != httpx2.codes.OK:
            raise JobFabricDownError(f"the Ray bridge refused the job: {answer.text}")
        return msgspec.json.decode(answer.content, type=tuple[JobOutcome, ...])
