"""What `profile` costs and how soon it speaks: findings at 2,000 steps a second, 100,000 agents in one process, its restart."""

import asyncio
import gc
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import resident
from benchmarks.report import percentiles
from detectors.facts import Facts
from detectors.policy_view import PolicyView
from detectors.profiles.profiler import Profiler
from lictor import topic_io
from lictor.policy_file import load_policies, words
from lictor.settings import Settings
from lictor.stack import Stack
from schemas import ids
from schemas.activity import WINDOW_US, Activity, Window
from schemas.finding import Finding
from schemas.policy import AgentPolicy
from schemas.seal import MARK, TYPE, agent_key, mark
from schemas.sighting import Sighting
from schemas.step import STEP_VERSION, Step, content, encode_step, message_key
from streams.records import Output

AGENTS: Final = 100_000
WINDOWS: Final = 3
RATE_PER_S: Final = 2_000
TRIALS: Final = 20
BACKGROUND: Final = 40
POLICY: Final = """
version: 1
defaults: {mode: observe, heartbeat_s: 1}
agents:
  bench: {owner: ops@example.com, heartbeat_s: 1, grants: [{id: all, effect: allow, tools: ["*"]}]}
"""
NOW_US: Final = 1_790_000_000_000_000


def run(*, agents: int = AGENTS, trials: int = TRIALS, **_: Any) -> dict[str, Any]:
    """Measure."""
    return {"many_agents": many(agents), "soon": soon(trials)}


def many(count: int) -> dict[str, Any]:
    """Profile many agents in this process: memory, time a record, time until it works again after a restart."""
    facts = Facts()
    facts.fallback = PolicyView(AgentPolicy(agent_id="*", version=1, issued_us=1, registered=False, words=words()))
    gc.collect()
    before, profiler = resident(), Profiler()
    started = time.perf_counter()
    sightings = 0
    for number in range(count):
        for sighting in _sightings(number):
            sightings += 1
            list(profiler.on_sighting(sighting, facts))
    seen_s = time.perf_counter() - started
    windows_s = []
    for window in range(WINDOWS):
        started = time.perf_counter()
        at_us = NOW_US + (window * 2 + 3) * WINDOW_US
        for number in range(count):
            list(profiler.on_activity(_activity(number, window), at_us, facts))
        windows_s.append(time.perf_counter() - started)
    gc.collect()
    grown = resident() - before
    kept = {name: profiler.dump(name) for name in profiler.agents}
    common = profiler.oddity.dump()
    started = time.perf_counter()
    fresh = Profiler()
    fresh.oddity.restore(common)
    for name, data in kept.items():
        fresh.restore(name, data or b"", facts)
    restored_s = time.perf_counter() - started
    return {
        "agents": count,
        "memory_mib": round(grown / (1 << 20)),
        "bytes_per_agent": round(grown / count),
        "us_per_sighting": round(1e6 * seen_s / sightings, 1),
        "us_per_window": round(1e6 * statistics.median(windows_s) / count, 1),
        "checkpoint_bytes_per_agent": round(sum(len(each or b"") for each in kept.values()) / count),
        "restored_in_s": round(restored_s, 2),
    }


def _sightings(number: int) -> Iterator[Sighting]:
    name = f"agent-{number}"
    uses = [("agent", name), ("version", "1.0"), ("principal", f"p{number % 97}"), ("model", "gpt")]
    uses += [("tool", f"tool.{(number + n) % 29}") for n in range(4)]
    uses += [("resource", f"host{(number + n) % 53}.example") for n in range(4)]
    for kind, used in uses:
        yield Sighting.model_construct(
            agent_id=name,
            run_id="r",
            kind=kind,
            name=used,
            version="1.0",
            step_id="0" * 32,
            append_time_us=NOW_US,
        )


def _activity(number: int, window: int) -> Activity:
    start_us = NOW_US + window * 2 * WINDOW_US
    start_us -= start_us % WINDOW_US
    done = Window.model_construct(
        start_us=start_us,
        steps=9,
        by_kind={"tool_call": 4, "tool_result": 4, "model_call": 1},
        by_tool={f"tool.{(number + n) % 29}": 1 for n in range(4)},
        input_tokens=900 + number % 100,
        output_tokens=100,
        cost_usd=0.01,
        resources=3,
    )
    return Activity.model_construct(
        agent_id=f"agent-{number}",
        partition=number % 4,
        offset=window * 1_000_000 + number,
        steps=9 * (window + 1),
        by_kind={"tool_call": 4 * (window + 1)},
        uses={"tool": 4 * (window + 1)},
        last_us=start_us + 5_000_000,
        windows=(done,),
    )


def soon(trials: int) -> dict[str, Any]:
    """Measure the time from a step's publication, or a heartbeat that did not come, to its finding, under load."""
    with tempfile.TemporaryDirectory(prefix="lictor-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "policy.yml").write_text(POLICY, encoding="utf-8")
        settings = replace(Settings.read({}), home=home)
        with Stack(settings, policies=load_policies(home / "policy.yml")) as stack, _kept(stack):
            return asyncio.run(_Soon(stack, trials).run())


@contextmanager
def _kept(stack: Stack) -> Iterator[None]:
    keeper = threading.Thread(target=stack.wait, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stack.stopping.set()
        keeper.join()


class _Soon:
    """Publishes steps at a steady rate, something new among them each second, and listens for what is said of it."""

    def __init__(self, stack: Stack, trials: int) -> None:
        self.settings, self.keys, self.trials = stack.settings, stack.keys, trials
        self.topics = stack.settings.topics
        self.seqs: dict[tuple[str, str], int] = {}
        self.sent_at: dict[str, float] = {}
        self.heard_at: dict[str, float] = {}
        self.published = 0
        self.findings: set[str] = set()
        self.told = 0

    async def run(self) -> dict[str, Any]:
        """Run; return milliseconds by kind, and by how much steps were reduced."""
        listening = asyncio.create_task(self._listen())
        async with topic_io.sender(self.settings.kafka, {}) as out:
            await self._publish(out.send, seconds=self.trials + 8)
        await self._until_heard()
        listening.cancel()
        kinds = ("new agent", "new tool", "silent run")
        found = {kind: self._of(kind) for kind in kinds}
        return {
            "steps_per_s": RATE_PER_S,
            "steps": self.published,
            "told_of_agents": self.told,
            "steps_per_record_told": round(self.published / max(1, self.told), 1),
            **{f"{kind}_to_finding_ms".replace(" ", "_"): percentiles(each) for kind, each in found.items()},
            "not_heard": len(self.sent_at.keys() - self.heard_at.keys()),
        }

    def _of(self, kind: str) -> list[float]:
        return [
            1000 * (self.heard_at[name] - self.sent_at[name])
            for name in self.sent_at.keys() & self.heard_at.keys()
            if name.startswith(f"{kind}/")
        ]

    async def _publish(self, send: Callable[[list[Output]], Any], seconds: int) -> None:
        began = time.monotonic()
        for tick in range(seconds * 10):
            batch = [
                self._step(f"worker-{n % BACKGROUND}", "tool_call", tool=f"t{n % 3}") for n in range(RATE_PER_S // 10)
            ]
            batch += [self._step("bench", "tool_call", tool="crm.read") for _ in range(20)]
            if tick % 10 == 0:
                batch += self._special(tick // 10)
            await send(batch)
            self.published += len(batch)
            await asyncio.sleep(max(0.0, began + (tick + 1) / 10 - time.monotonic()))

    def _special(self, second: int) -> list[Output]:
        """Return what is new in a second: an agent, a tool after a while, a run that beats once more and then no more."""
        now = time.monotonic()
        found = []
        if second < self.trials:
            self.sent_at[f"new agent/stranger-{second}"] = now
            found.append(self._step(f"stranger-{second}", "message", text="hello", origin="user"))
            run = f"run-{second}"
            found.append(self._step("bench", "heartbeat", run_id=run))
            self.sent_at[f"silent run/{run}"] = now
        if 5 <= second < self.trials and second % 4 == 0:  # noqa: PLR2004 - once it is known what it does every day
            self.sent_at[f"new tool/rare.{second}"] = now
            found.append(self._step("bench", "tool_call", tool=f"rare.{second}"))
        return found

    def _step(self, agent_id: str, kind: Any, run_id: str = "r", **fields: Any) -> Output:
        trace = "" if kind == "heartbeat" else ids.named("bench.trace", f"{agent_id}/{run_id}")
        seq = self.seqs[agent_id, run_id + trace] = self.seqs.get((agent_id, run_id + trace), 0) + 1
        said: dict[str, Any] = {
            "v": STEP_VERSION,
            "step_id": ids.step_id(agent_id, run_id, trace, seq),
            "agent_id": agent_id,
            "run_id": run_id,
            "trace_id": trace,
            "seq": seq,
            "kind": kind,
            "time_us": int(time.time() * 1e6),
            **fields,
        }
        step = Step(**said)
        step = Step(**{**said, "digest": ids.content_digest(content(step))})
        key, value, name = message_key(step), encode_step(step), self.topics.steps.name
        own = mark(agent_key(self.keys.master(), agent_id), name, key, "step", value)
        return Output(name, key, value, [(TYPE, b"step"), (MARK, own)])

    async def _listen(self) -> None:
        watched = [self.topics.findings, self.topics.sightings, self.topics.activity]
        async with topic_io.consumer(self.settings.kafka, watched, {}, "beginning") as source:
            while True:
                for records in (await source.getmany(timeout_ms=50)).values():
                    for record in records:
                        self._hear(record.topic, record.value)

    def _hear(self, topic: str, value: bytes) -> None:
        if topic != self.topics.findings.name:
            self.told += 1
            return
        found = Finding.read(value)
        name = {
            "lictor.shadow.agent": f"new agent/{found.agent_id}",
            "lictor.novelty.use": f"new tool/{found.tool}",
            "lictor.silence.run": f"silent run/{found.run_id}",
        }.get(found.rule_id, "")
        if name in self.sent_at:
            self.heard_at.setdefault(name, time.monotonic())

    async def _until_heard(self) -> None:
        ends = time.monotonic() + 20
        while self.sent_at.keys() - self.heard_at.keys() and time.monotonic() < ends:
            await asyncio.sleep(0.05)
