"""A Lictor of one test: its own namespace on the shared broker, its own keys, its streams in a thread of this process."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lictor import topic_io
from lictor.admin import ensure_topics
from lictor.keys import Keys
from lictor.policy_file import Policies, load_policies
from lictor.publish import publish_policies
from lictor.settings import Settings
from lictor.workers import followed, lane_settings
from lictor_agent import AgentSettings
from schemas import ids
from schemas.dead_letter import DeadLetter
from schemas.message import Message
from schemas.seal import MARK, TYPE, agent_key, mark
from schemas.step import STEP_VERSION, Step, content, encode_step, message_key
from streams.broadcast import Follower
from streams.detect import Detect
from streams.knowledge import Knowledge
from streams.lane import Lane
from streams.profile import Profile
from streams.records import Output, Record
from streams.respond import Respond
from streams.stream import Stream
from streams.topics import Topic

PARTITIONS = 4
PATIENCE_S = 30.0


class World:
    """Topics, keys and policies on a real broker."""

    def __init__(self, bootstrap: str, home: Path, policy: str | None = None) -> None:
        self.settings = Settings(
            home=home, kafka=bootstrap, namespace=f"t{os.urandom(5).hex()}", partitions=PARTITIONS, keys=home / "keys"
        )
        self.topics = self.settings.topics
        self.keys = Keys(self.settings.keys_folder)
        self.keys.make()
        self.policies = self._load(policy)
        asyncio.run(self._prepare())

    def _load(self, policy: str | None) -> Policies:
        if policy is None:
            return load_policies()
        path = self.settings.home / "policy.yml"
        path.write_text(policy, encoding="utf-8")
        return load_policies(path)

    async def _prepare(self) -> None:
        settings = self.settings
        await ensure_topics(settings.kafka, self.topics, settings.partitions, {})
        await publish_policies(settings.kafka, settings, self.keys, self.policies)

    def agent_settings(self, agent_id: str, **changes: Any) -> AgentSettings:
        """Return the settings of an agent of this world."""
        given = {
            "kafka": self.settings.kafka,
            "root_key": self.keys.root_public(),
            "agent_key": agent_key(self.keys.master(), agent_id),
            "namespace": self.settings.namespace,
            "spool": self.settings.home / "spool",
        }
        return AgentSettings(**{**given, **changes})

    def agent_environment(self, agent_id: str) -> dict[str, str]:
        """Return the environment of an agent's process, without anything of Lictor's own."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("LICTOR_")}
        return {
            **ours,
            "LICTOR_KAFKA": self.settings.kafka,
            "LICTOR_NAMESPACE": self.settings.namespace,
            "LICTOR_ROOT_KEY": self.keys.root_public().hex(),
            "LICTOR_AGENT_KEY": str(self.keys.agent_key_file(agent_id)),
            "LICTOR_SUPERVISOR_KEY": str(self.keys.folder / "supervisor.key"),
            "LICTOR_SPOOL": str(self.settings.home / "spool"),
        }

    def marked(
        self, step: Step, *, key: str | None = None, signer: str | None = None, partition: int | None = None
    ) -> Output:
        """Return a step as its agent would publish it; `signer`: another agent whose key makes the mark."""
        return self.raw(
            encode_step(step), message_key(step) if key is None else key, signer or step.agent_id, partition
        )

    def raw(self, value: bytes, key: str, signer: str | None, partition: int | None = None) -> Output:
        """Return any bytes as a record of the steps topic, marked by `signer` if there is one."""
        name = self.topics.steps.name
        headers = [(TYPE, b"step")]
        if signer is not None:
            headers.append((MARK, mark(agent_key(self.keys.master(), signer), name, key, "step", value)))
        return Output(name, key, value, headers, partition)

    def publish(self, *outputs: Output) -> None:
        """Publish and wait until everything is acknowledged."""
        asyncio.run(topic_io.publish(self.settings.kafka, outputs, {}))

    def read(self, *topics: Topic) -> list[Record]:
        """Return everything that is on some topics now."""
        return asyncio.run(topic_io.read_all(self.settings.kafka, topics, {}))

    def messages(self, topic: Topic, reader: type[Message]) -> list[Any]:
        """Return the messages that are on a topic now."""
        return [reader.read(record.value) for record in self.read(topic)]

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters that are there now."""
        return self.messages(self.topics.dead_letters, DeadLetter)

    def await_records(self, topic: Topic, enough: Callable[[list[Record]], bool]) -> list[Record]:
        """Return a topic's records once there are enough of them; fails after half a minute."""
        return asyncio.run(self._await_records(topic, enough))

    async def _await_records(self, topic: Topic, enough: Callable[[list[Record]], bool]) -> list[Record]:
        found: list[Record] = []
        ends = time.monotonic() + PATIENCE_S
        async with topic_io.consumer(self.settings.kafka, [topic], {}, "beginning") as source:
            while not enough(found):
                assert time.monotonic() < ends, f"{topic.name}: waited {PATIENCE_S:.0f} s, found {len(found)} records"
                for records in (await source.getmany(timeout_ms=100)).values():
                    found.extend(records)
        return found

    def await_messages(self, topic: Topic, reader: type[Message], enough: Callable[[list[Any]], bool]) -> list[Any]:
        """Return a topic's messages once there are enough of them."""
        records = self.await_records(topic, lambda found: enough([reader.read(record.value) for record in found]))
        return [reader.read(record.value) for record in records]

    @contextmanager
    def running(self, *roles: str) -> Iterator[dict[str, Lane]]:
        """Run streams (`detect`, `respond`) in a thread for as long as the context lasts; they are ready inside it."""
        threads = StreamThreads(self, roles)
        threads.start()
        try:
            yield threads.lanes
        finally:
            threads.stop()


class StreamThreads(threading.Thread):
    """Runs lanes in an event loop of their own."""

    def __init__(self, world: World, roles: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self.world = world
        self.roles = roles
        self.lanes: dict[str, Lane] = {}
        self.is_ready = threading.Event()
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start, and return once every lane owns its partitions."""
        super().start()
        assert self.is_ready.wait(PATIENCE_S) or self.failure, "the streams were not ready in time"
        if self.failure is not None:
            raise self.failure

    def run(self) -> None:
        """Run the loop."""
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self.failure = error
            self.is_ready.set()

    async def _run(self) -> None:
        followers: list[Follower] = []
        for role in self.roles:
            lane, follower = await self._make(role)
            self.lanes[role] = lane
            followers.append(follower)
        tasks = [asyncio.create_task(lane.run()) for lane in self.lanes.values()]
        for lane in self.lanes.values():
            await lane.ready.wait()
        self.loop = asyncio.get_running_loop()
        self.is_ready.set()
        await asyncio.gather(*tasks)
        for follower in followers:
            await follower.stop()

    async def _make(self, role: str) -> tuple[Lane, Follower]:
        world, topics = self.world, self.world.topics
        master = world.keys.master() if role == "detect" else b""
        know = Knowledge(topics, world.keys.keyring(), master=master)
        follower = Follower(world.settings.kafka, followed(role, topics), know.apply, {})
        await follower.start(int(time.time() * 1000))
        signer = world.keys.signer(role)
        made: dict[str, Callable[[], Stream]] = {
            "detect": lambda: Detect(know, signer, "test", PARTITIONS),
            "respond": lambda: Respond(know, signer, "test"),
            "profile": lambda: Profile(know, signer, "test"),
        }
        stream = made[role]()
        return Lane(stream, lane_settings(role, world.settings, checkpoint_s=0.2)), follower

    def stop(self) -> None:
        """Stop all lanes and wait."""
        if self.failure is None:
            for lane in self.lanes.values():
                self.loop.call_soon_threadsafe(lane.stopping.set)
        self.join(PATIENCE_S)
        if self.failure is not None:
            raise self.failure


def step(agent_id: str = "bot", run_id: str = "r1", trace_id: str = "a" * 32, seq: int = 1, **fields: Any) -> Step:
    """Return a step with its id and digest right."""
    given = {"kind": "message", "text": "hello", "origin": "user", "time_us": int(time.time() * 1e6), **fields}
    made = Step(
        v=STEP_VERSION,
        step_id=ids.step_id(agent_id, run_id, trace_id, seq),
        agent_id=agent_id,
        run_id=run_id,
        trace_id=trace_id,
        seq=seq,
        **given,
    )
    values = {name: getattr(made, name) for name in made.__struct_fields__}
    return Step(**{**values, "digest": ids.content_digest(content(made))})


ENFORCING = """
version: 1
defaults: {mode: enforce, clearance: {traits: [spends], timeout_ms: 3000}}
agents:
  bot:
    owner: tests@example.com
    grants:
      - {id: all, effect: allow, tools: [web.get, web.post, crm.export, notes.write, payments.create, slow.wait]}
"""
"""A policy under which `bot` may do what the tests do."""
