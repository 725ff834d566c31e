"""Finding the head by mDNS: anybody may announce anything, so whoever answers there must show the token's authority."""

import asyncio
from dataclasses import dataclass

from zeroconf import BadTypeInNameException, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from cluster.announce import SERVICE_TYPE, own_addresses, reachable, speaks_for
from cluster.join_client import WrongAuthorityError, fetch_authority
from cluster.join_token import JoinToken
from nodes.head_client import HeadPlace, HeadSilentError

DETAILS_WITHIN_MS = 3000
MOST_LOOKS, MOST_PLACES = 64, 16  # no stranger makes this machine look at more
PASTE = "paste HOST:PORT as the head printed it: potluck join HOST:PORT --token …"


@dataclass(frozen=True, slots=True)
class FoundHead:
    place: HeadPlace
    ca_pem: str  # the token's authority


async def find_head(token: JoinToken, within_s: float) -> FoundHead:
    """The first that announces the token's authority and shows it. Raises HeadSilentError."""
    networks = reachable("::", own_addresses())
    if not networks:
        raise HeadSilentError(f"this machine is on no network to look for the head on; {PASTE}")
    search = _Search(token)
    try:
        async with AsyncZeroconf(interfaces=list(networks)) as network:
            found = await search.run(network.zeroconf, within_s)
    except (OSError, RuntimeError) as error:
        raise HeadSilentError(f"cannot look for the head on this network: {error}; {PASTE}") from error
    if found is None:
        raise HeadSilentError(search.what_was_heard(within_s))
    return found


class _Search:
    """One look around. Every announcement is followed up by itself, so that a false one delays nothing."""

    def __init__(self, token: JoinToken) -> None:
        self._token = token
        self._found: asyncio.Future[FoundHead] = asyncio.get_running_loop().create_future()
        self._looks: list[asyncio.Task[None]] = []
        self._others: set[str] = set()  # announcements of other clusters
        self._tried: dict[HeadPlace, str] = {}  # what came of it

    async def run(self, network: Zeroconf, within_s: float) -> FoundHead | None:
        async with asyncio.TaskGroup() as tasks:

            def heard(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
                if state_change is not ServiceStateChange.Removed and len(self._looks) < MOST_LOOKS:
                    self._looks.append(tasks.create_task(self._look(zeroconf, service_type, name)))

            async with AsyncServiceBrowser(network, SERVICE_TYPE, handlers=[heard]):
                await asyncio.wait({self._found}, timeout=within_s)
            for look in self._looks:
                look.cancel()
        return self._found.result() if self._found.done() else None

    def what_was_heard(self, within_s: float) -> str:
        """Without the names of strangers, which may hold anything."""
        said = [f"no head of this token's cluster was found on this network within {within_s:.0f} s"]
        said += [f"at {place}, which was announced: {outcome}" for place, outcome in self._tried.items()]
        if self._others:
            said.append(f"announcements of other clusters: {len(self._others)}")
        return "; ".join([*said, PASTE])

    async def _look(self, network: Zeroconf, service_type: str, name: str) -> None:
        try:
            service = AsyncServiceInfo(service_type, name)
        except BadTypeInNameException:
            return
        if not await service.async_request(network, DETAILS_WITHIN_MS) or not service.port:
            return
        if not speaks_for(self._token.fingerprint, service.properties):
            self._others.add(name)
            return
        async with asyncio.TaskGroup() as tasks:
            for host in service.parsed_addresses():
                tasks.create_task(self._try(HeadPlace(host, service.port)))

    async def _try(self, place: HeadPlace) -> None:
        if place in self._tried or len(self._tried) >= MOST_PLACES:
            return
        self._tried[place] = "no answer in time"
        try:
            ca_pem = await fetch_authority(place, self._token)
        except (HeadSilentError, WrongAuthorityError) as error:
            self._tried[place] = str(error)
            return
        if not self._found.done():
            self._found.set_result(FoundHead(place, ca_pem))
