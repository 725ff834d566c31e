"""The gateway process: lock, listen, follow the head, serve, drain."""

import asyncio
import contextlib
import gc
import random
import socket
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import prometheus_client
import uvicorn
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from cluster.admin_client import AdminClient
from cluster.erasure_list import ErasureList
from cluster.keys import check_private
from inventory.clock import Clock, SystemClock
from nodes.relay.pool import EndpointPool
from nodes.relay.pools import Pools
from nodes.relay.sockets import listen_tcp
from nodes.relay.sweeper import Sweeper
from nodes.role_lock import RoleLock, RoleRecord, last_holder
from router.accounting import RecordSink
from router.answer_cache import AnswerCache
from router.batches.desk import BatchDesk
from router.batches.house import GatewayHouse
from router.batches.relay_jobs import RelayJobs
from router.batches.runner import BatchRunner
from router.batches.store import BatchStore
from router.cache_store import CacheStore
from router.call_context import CallContext
from router.call_parts import CallParts
from router.cluster_metrics import cluster_metrics
from router.credentials import GatewayCredentials
from router.dashboard.desk import Dashboard, MinuteSink
from router.decision import Candidate
from router.demand import DemandReporter, Uses
from router.dispatcher import Dispatcher
from router.doubts import DoubtReporter
from router.erasing.eraser import Eraser
from router.erasing.wiring import Kept, eraser_of
from router.errors import stopping
from router.feed import SnapshotFeed
from router.gateway import create_app
from router.health import EngineHealth
from router.hot_protocol import hot_protocol
from router.ids import RequestIds
from router.in_house import InHouse
from router.knowledge.desk import DocumentDesk
from router.knowledge.opening import NONE_KEPT, Documents, open_documents
from router.knowledge.recorder import HeadRecorder, Recorder
from router.knowledge.room import OpenRoom
from router.lan_door import LanListener
from router.learnt_file import LearntFile
from router.log import StructuredLog
from router.metrics import GatewayMetrics
from router.model_changes import ModelChanges
from router.own_files import opened_batches, opened_cache, restore_limits
from router.refusals import RefusalReporter
from router.salts import Salts
from router.settings import GatewaySettings
from router.sign_ins import SignInReporter
from router.telemetry import TelemetryWriter
from router.tracing import tracer_for
from router.upstreams import Upstreams, proof_body
from router.view import GatewayView
from router.witness import GatewayWitness, WitnessReporter


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process that embeds it decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


BACKLOG = 2048


class CannotListenError(Exception):
    """The address cannot be had. Handled by the command that starts the gateway: it prints this and exits 1."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port, or in cluster.yaml "
            "under gateway.port"
        )
        self.host, self.port = host, port


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running gateway that its owner needs."""

    settings: GatewaySettings
    dispatcher: Dispatcher
    sweeper: Sweeper
    pools: Pools
    registry: prometheus_client.CollectorRegistry
    uses: Uses
    batches: BatchDesk | None
    dashboard: Dashboard
    in_house: InHouse
    kept: Kept
    eraser: Eraser
    documents: Documents | str = NONE_KEPT  # or why it keeps none

    def server(self) -> QuietServer:
        """uvicorn with the hot protocol in front of the FastAPI app."""
        config = uvicorn.Config(
            create_app(self.dispatcher, self.registry, self.batches, self.dashboard, self.desk, self.eraser),
            http=hot_protocol(self.dispatcher, self.sweeper, self.settings),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a forwarded header grants nothing
            timeout_graceful_shutdown=2,
        )
        return QuietServer(config)

    @property
    def desk(self) -> DocumentDesk | str:
        return self.documents if isinstance(self.documents, str) else self.documents.desk

    def close(self) -> None:
        self.dispatcher.context.flush()
        if self.dispatcher.context.tracer is not None:
            self.dispatcher.context.tracer.close()
        self.dispatcher.context.warmer.close()
        self.dispatcher.context.health.close()
        self.pools.close()
        self.sweeper.close()


def build_gateway(
    settings: GatewaySettings,
    view: GatewayView,
    sinks: tuple[RecordSink, ...] = (),
    clock: Clock | None = None,
    cache: CacheStore | None = None,
    batches: BatchStore | None = None,
) -> Gateway:
    """Join the parts. Needs a running loop; opens nothing yet."""
    clock, log = clock or SystemClock(), StructuredLog()
    sweeper = Sweeper(settings.sweep_s)
    credentials = GatewayCredentials(settings.paths.identity)
    pools = Pools(sweeper, credentials)
    upstreams = Upstreams(pools, settings)
    ids = RequestIds(clock, random.getrandbits)

    def proof_of(candidate: Candidate) -> tuple[EndpointPool, bytes]:
        upstream = upstreams.of(candidate)
        return upstream.pool, upstream.request(candidate.proof, ids.next(), proof_body(candidate))

    salts = Salts(lambda tenant: view.keys.salt_of(tenant))
    for entry in ErasureList(settings.paths).entries():
        salts.change(entry.erasure_id)

    def several_tenants() -> bool:
        return view.keys.several_tenants

    health = EngineHealth(proof_of, log, settings.first_token_s)
    metrics = GatewayMetrics(lambda: _gauges(view, context, sinks, dispatcher.answers))
    witness = GatewayWitness(clock, lambda: view.table.borders, settings.paths.sightings)
    parts = CallParts(
        settings, clock, log, sweeper, upstreams, health, metrics, lambda: view.table, salts.of, several_tenants, ids,
        witness,
    )  # fmt: skip
    uses, minute = Uses(), MinuteSink(clock)
    context = CallContext(
        parts, (metrics, uses, minute, *sinks), [sink for sink in sinks if isinstance(sink, TelemetryWriter)]
    )
    context.salts = salts
    context.tracer = tracer_for(settings.traces, random.getrandbits, log)
    view.on_change(context.follow)
    view.on_access(lambda access: credentials.follow(access, pools))
    registry = prometheus_client.CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    registry.register(_changes_of(view))
    dispatcher = Dispatcher(context, view, ids, cache)
    view.on_change(lambda _: dispatcher.answers.follow(view.table.borders))
    desk = None
    if batches is not None:
        runner = BatchRunner(batches, RelayJobs(dispatcher), GatewayHouse(dispatcher), clock, log)
        desk = BatchDesk(batches, runner, clock)
    in_house = InHouse(dispatcher)
    context.guests.wanted = lambda: Counter(in_house.wanted()) + Counter(desk.runner.wanted() if desk else {})
    dashboard = Dashboard(dispatcher, minute.minute)
    telemetry = next((sink for sink in sinks if isinstance(sink, TelemetryWriter)), None)
    runner_of_all = None if desk is None else desk.runner
    kept = Kept(
        context, dashboard, telemetry, cache, batches, runner_of_all, lambda tenant: view.keys.pseudonym_key_of(tenant)
    )
    eraser = eraser_of(kept, None)
    return Gateway(
        settings, dispatcher, sweeper, pools, registry, uses, desk, dashboard, in_house, kept, eraser
    )  # fmt: skip


def with_documents(gateway: Gateway, open_room: OpenRoom | None, recorder: Recorder | None = None) -> Gateway:
    """The same with documents, where somebody keeps them. `recorder`: puts on record who uses them; None: the head."""
    if open_room is None:
        return gateway
    recorder = recorder or HeadRecorder(AdminClient(gateway.settings.paths.head_socket))
    found = open_documents(gateway.dispatcher, gateway.in_house, gateway.batches, open_room, recorder)
    if isinstance(found, str):
        return replace(gateway, documents=found)
    eraser = eraser_of(gateway.kept, found.room.erasable)
    found.room.keep_out(eraser.list.is_kept_out)
    gateway.registry.register(found.metrics)
    return replace(gateway, documents=found, eraser=eraser)


def _changes_of(view: GatewayView) -> ModelChanges:
    changes = ModelChanges()

    def follow(_: object) -> None:
        if view.cluster is not None:
            changes.follow(view.cluster)

    view.on_change(follow)
    return changes


def tune_collector() -> None:
    """A call makes some 20 objects that die by reference count; looking for cycles every 700 of them is for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def run_gateway(settings: GatewaySettings, stop: asyncio.Event, open_room: OpenRoom | None = None) -> None:
    """Serve until `stop` is set, then drain. `open_room`: where documents are kept. Raises AlreadyRunningError,
    CannotListenError, ExposedSecretError."""
    check_private(settings.paths)
    earlier = last_holder(settings.paths.run, "gateway")
    lock = RoleLock(settings.paths.run, "gateway")
    lock.acquire()
    clock, log = SystemClock(), StructuredLog()
    view = GatewayView(clock)
    telemetry = TelemetryWriter(settings.paths.telemetry_db, clock)
    cache, batches = opened_cache(settings.paths.cache_db, view, clock, log), opened_batches(settings.paths, log)
    gateway = with_documents(build_gateway(settings, view, (telemetry,), clock, cache, batches), open_room)
    feed = SnapshotFeed(settings.paths, view, log)
    learnt = LearntFile(settings.paths, gateway.dispatcher.context)
    try:
        learnt.load()
        gateway.dispatcher.context.witness.load()
        feed.load()
        restore_limits(gateway.dispatcher, settings.paths.telemetry_db, log)
        tune_collector()
        listener = listen_again(settings.host, settings.port, earlier)
        endpoint = base_url(*listener.getsockname()[:2])
        lock.publish(endpoint)
        gateway.dashboard.stage.endpoint = endpoint
        log.emit("gateway_listens", endpoint=endpoint)
        keeping = asyncio.create_task(learnt.run())
        await _serve(gateway, listener, feed, stop)
        keeping.cancel()
        learnt.save()
    finally:
        gateway.close()
        telemetry.close()
        if cache is not None:
            cache.close()
        if batches is not None:
            batches.close()
        if isinstance(gateway.documents, Documents):
            await gateway.documents.close()
        lock.release()


async def _serve(gateway: Gateway, listener: socket.socket, feed: SnapshotFeed, stop: asyncio.Event) -> None:
    server = gateway.server()
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(feed.run())
        head = AdminClient(gateway.settings.paths.head_socket)
        context, view = gateway.dispatcher.context, gateway.dispatcher.view
        reporter = tasks.create_task(DoubtReporter(head, context).run())
        demand = DemandReporter(head, context, gateway.uses, lambda: view.table, gateway.dispatcher.ids.next())
        asker = tasks.create_task(demand.run())
        refusals = RefusalReporter(head, gateway.dispatcher.refusals, context.log)
        accuser = tasks.create_task(refusals.run())
        witness = WitnessReporter(head, context.witness, context.log)
        noter = tasks.create_task(witness.run())
        registrar = tasks.create_task(SignInReporter(head, gateway.dashboard.door.notes, context.log).run())
        runner = tasks.create_task(gateway.batches.runner.run()) if gateway.batches is not None else None
        reading = tasks.create_task(gateway.documents.run()) if isinstance(gateway.documents, Documents) else None
        erasing = tasks.create_task(gateway.eraser.run())
        tasks.create_task(_stop_on(stop, server, gateway))
        network = tasks.create_task(_serve_network(gateway.settings, server))
        await server.serve(sockets=[listener])
        network.cancel()
        follower.cancel()
        reporter.cancel()
        asker.cancel()
        accuser.cancel()
        noter.cancel()
        registrar.cancel()
        erasing.cancel()
        if reading is not None:
            reading.cancel()
        if runner is not None:
            runner.cancel()


async def _serve_network(settings: GatewaySettings, server: uvicorn.Server) -> None:
    if settings.lan is not None:
        await LanListener(settings.lan, settings.paths.identity, StructuredLog()).run(server)


async def _stop_on(stop: asyncio.Event, server: uvicorn.Server, gateway: Gateway) -> None:
    """New requests are refused at once, running ones get their time, what is left ends with a proper error."""
    await stop.wait()
    gateway.dispatcher.draining = True
    context = gateway.dispatcher.context
    context.warmer.close()
    context.guests.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(gateway.settings.drain_s):
            await context.wait_until_idle()
    for call in context.live:
        call.abandon(stopping())
    server.should_exit = True


def base_url(host: str, port: int) -> str:
    """What OpenAI clients call base_url."""
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def listen_again(host: str, port: int, earlier: RoleRecord | None) -> socket.socket:
    """Like `listen`, but where any port will do, the one that clients know from before this process is tried first."""
    known = urlsplit(earlier.endpoint) if earlier is not None and earlier.endpoint is not None else None
    if port == 0 and known is not None and known.port and known.hostname == host:
        with contextlib.suppress(CannotListenError):
            return listen(host, known.port)
    return listen(host, port)


def listen(host: str, port: int) -> socket.socket:
    """From here on the endpoint may be told to others. Raises CannotListenError."""
    try:
        return listen_tcp(host, port, BACKLOG)
    except OSError as error:
        raise CannotListenError(host, port, error) from error


def _gauges(
    view: GatewayView, context: CallContext, sinks: tuple[RecordSink, ...], answers: AnswerCache
) -> Iterable[Metric]:
    context.flush()
    in_flight = GaugeMetricFamily("potluck_requests_in_flight", "Requests on engines.", labels=("engine",))
    for engine_id, count in context.ledger.in_flight.items():
        in_flight.add_metric([engine_id], count)
    yield in_flight
    waiting = GaugeMetricFamily("potluck_requests_waiting", "Requests that wait for a model.", labels=("model",))
    for model, count in context.room.waiting.items():
        waiting.add_metric([model], count)
    yield waiting
    if view.age_s is not None:
        age = GaugeMetricFamily("potluck_snapshot_age_seconds", "Since the head was last heard.")
        age.add_metric([], view.age_s)
        yield age
    for sink in sinks:
        if isinstance(sink, TelemetryWriter):
            dropped = GaugeMetricFamily("potluck_telemetry_dropped_records", "Records not written to telemetry.db.")
            dropped.add_metric([], sink.dropped)
            yield dropped
            errors = HistogramMetricFamily(
                "potluck_route_ttft_prediction_error_seconds", "Observed and predicted apart.", labels=("model", "node")
            )
            for key, histogram in sink.prediction_errors.items():
                errors.add_metric(list(key), *histogram.export())
            yield errors
    guests = GaugeMetricFamily("potluck_batch_lines_running", "Lines of batches on engines.", labels=("engine",))
    for engine_id, count in context.guests.running.items():
        guests.add_metric([engine_id], count)
    yield guests
    lookups = CounterMetricFamily("potluck_cache_lookups", "Of answers given before.", labels=("kind", "result"))
    for (kind, found), count in answers.asked.items():
        lookups.add_metric([kind, "hit" if found else "miss"], count)
    yield lookups
    if view.cluster is not None:
        yield from cluster_metrics(view.cluster)
