"""One process, one role: the entry points of `lictor worker detect | respond | archive`."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from detectors.engine.engine import Engine
from lictor import topic_io
from lictor.folders import make_folder
from lictor.kafka import cache_folder
from lictor.keys import Keys
from lictor.settings import Settings
from lictor.sparing import Sparing
from lictor.sql_http import SqlEndpoint
from schemas.rule_bundle import RuleBundle
from storage.store import Store, wait_until_open
from streams.archive import Archive
from streams.broadcast import Follower
from streams.detect import Detect
from streams.knowledge import Knowledge
from streams.lane import Lane, LaneSettings
from streams.profile import Profile
from streams.respond import Respond
from streams.rule_loader import RuleLoader
from streams.stream import Stream
from streams.topics import Topic, Topics

ROLES: Final = ("detect", "respond", "profile", "archive")
STORE_TIMEOUT_S: Final = 60.0
BACKGROUND: Final = 10
"""Niceness of the archive where it shares a machine with the parts that an agent waits for."""
log = logging.getLogger("lictor.workers")


def run(role: str, settings: Settings) -> None:
    """Run one role until SIGTERM or SIGINT. Raises `LictorError`."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Sparing())
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    spare_the_collector()
    asyncio.run({"detect": detect, "respond": respond, "profile": profile, "archive": archive}[role](settings))


def spare_the_collector() -> None:
    """Have Python look for cycles seldom, and never among what is remembered of traces.

    That state makes no cycles; walking all of it, as a full collection does, would hold the event loop for seconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000_000)


def followed(role: str, topics: Topics) -> tuple[Topic, ...]:
    """Return the topics that every worker of a role reads whole, beside those it shares with the others by partition."""
    standing = (topics.policies, topics.rules, topics.containment)
    whole = {
        "detect": (*standing, topics.taints, topics.receipts, topics.liveness, topics.inventory),
        "respond": standing,
        "profile": (topics.policies, topics.inventory, topics.liveness),
    }
    return whole.get(role, (topics.policies,))


async def detect(settings: Settings) -> None:
    """Steps → findings. The only role that holds the marks' master key."""
    keys = Keys(settings.keys_folder)
    know = Knowledge(settings.topics, keys.keyring(), master=keys.master())
    offsets = await topic_io.end_offsets(settings.kafka, [settings.topics.steps], settings.kafka_client)
    stream = Detect(know, keys.signer("detect"), instance(), len(offsets))
    async with (
        following(settings, know, followed("detect", settings.topics)) as follower,
        rules_for(know, stream.take_rules),
    ):
        await run_lane(stream, settings, follower)


async def respond(settings: Settings) -> None:
    """Findings → decisions and commands."""
    keys = Keys(settings.keys_folder)
    know = Knowledge(settings.topics, keys.keyring())
    stream = Respond(know, keys.signer("respond"), instance())
    async with (
        following(settings, know, followed("respond", settings.topics)) as follower,
        rules_for(know, stream.take_rules),
    ):
        await run_lane(stream, settings, follower)


async def profile(settings: Settings) -> None:
    """Sightings and activity → inventory, and findings about agents as a whole."""
    keys = Keys(settings.keys_folder)
    know = Knowledge(settings.topics, keys.keyring())
    async with following(settings, know, followed("profile", settings.topics)) as follower:
        await run_lane(Profile(know, keys.signer("profile"), instance()), settings, follower)


async def archive(settings: Settings) -> None:
    """Every topic → ClickHouse. Holds no private key. With the embedded engine it also serves SQL over HTTP."""
    if not settings.clickhouse:
        os.nice(BACKGROUND)
    know = Knowledge(settings.topics, Keys(settings.keys_folder).keyring())
    async with (
        opened_store(settings) as (store, address),
        following(settings, know, followed("archive", settings.topics)) as keys,
    ):
        stream = Archive(settings.topics, store, instance(), know.keyring, keys.catch_up)
        await run_lane(stream, settings, keys, sql=address)


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[tuple[Store, str]]:
    """Yield the store, migrated, and the address at which it answers SQL ("" where ClickHouse itself does)."""
    embedded = not settings.clickhouse
    folder = settings.home / "history"
    if embedded:
        make_folder(folder)
    dsn = settings.clickhouse or f"chdb://{folder}"
    store = await asyncio.to_thread(wait_until_open, dsn, STORE_TIMEOUT_S)
    await asyncio.to_thread(store.migrate)
    endpoint = SqlEndpoint(folder, settings.sql_port) if embedded else None
    try:
        if endpoint is not None:
            endpoint.start()
        yield store, endpoint.address if endpoint else ""
    finally:
        if endpoint is not None:
            endpoint.stop()
        await asyncio.to_thread(store.close)


@asynccontextmanager
async def following(settings: Settings, know: Knowledge, topics: Sequence[Topic]) -> AsyncIterator[Follower]:
    """Read what every worker must know to its present end, then keep following it."""
    follower = Follower(settings.kafka, topics, know.apply, settings.kafka_client)
    try:
        await follower.start(int(time.time() * 1000))
        yield follower
    finally:
        await follower.stop()


@asynccontextmanager
async def rules_for(know: Knowledge, ready: Callable[[RuleBundle, Engine], None]) -> AsyncIterator[None]:
    """Have the rules that were published compiled before anything is judged, and each later bundle as it comes."""
    command = [sys.executable, "-m", "lictor.rules_child"]
    loader = RuleLoader(know, command, cache_folder() / "rules", ready)
    await loader.load()
    following = asyncio.create_task(loader.run())
    try:
        yield
    finally:
        following.cancel()


def lane_settings(stream: str, settings: Settings, **more: Any) -> LaneSettings:
    """Return the lane settings of one stream."""
    return LaneSettings(
        bootstrap=settings.kafka,
        checkpoint_topic=settings.topics.checkpoints.name,
        group=f"{settings.namespace}.{stream}",
        client=settings.kafka_client,
        **{"max_records": 20_000 if stream == "archive" else 2_000, **more},
    )


async def run_lane(stream: Stream, settings: Settings, follower: Follower | None, **said: str) -> None:
    """Run a stream until a signal; end at once, with its error, if what it follows cannot be followed any more."""
    lane = Lane(stream, lane_settings(stream.name, settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lane.stopping.set)
    running = asyncio.create_task(lane.run())
    telling = asyncio.create_task(_tell_ready(lane, stream.name, said))
    watched = [running]
    if follower is not None:
        watched.append(asyncio.create_task(follower.ended()))
    done, pending = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    lane.stopping.set()
    telling.cancel()
    for task in pending:
        if task is not running:
            task.cancel()
    await asyncio.gather(running, return_exceptions=running not in done)
    for finished in done:
        finished.result()


async def _tell_ready(lane: Lane, name: str, said: dict[str, str]) -> None:
    """Tell whoever started us, in one line on stdout, once partitions are ours."""
    await lane.ready.wait()
    print(json.dumps({"ready": name, "pid": os.getpid(), **said}), flush=True)  # noqa: T201


def instance() -> str:
    """Return a name for this process, unique among its kind."""
    return f"{socket.gethostname()[:48]}-{os.getpid()}"
