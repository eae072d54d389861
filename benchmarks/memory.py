"""What a live run costs in memory, flow tracking on, and that one agent's flood costs no other agent anything."""

import gc
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks import workload
from benchmarks.texts import Texts
from detectors.facts import Facts
from detectors.inspect import inspect, see
from detectors.policy_view import PolicyView
from detectors.state import AWAKE, Memory
from lictor.policy_file import words
from schemas.step import Step, encode_step, read_step

SEED: Final = 20261123
RUNS: Final = 200_000
AT_ONCE: Final = 2_000
"""Runs whose steps come mixed; the next ones begin when these have come as far as they are to come."""
WARM: Final = 2_000
BOUND: Final = 4_096
FLOOD: Final = 5_000
_SAMPLE: Final = 1_000


def run(*, runs: int = RUNS, **_: Any) -> dict[str, Any]:
    """Judge the steps of many runs, each stopped somewhere on its way, and see what the process has grown by."""
    facts, memory = _facts(), Memory(runs)
    chance, texts = random.Random(SEED), Texts(SEED)
    _judge(_halfway(chance, texts, range(runs, runs + WARM)), Memory(WARM), facts)  # what every process holds anyway
    gc.collect()
    before = resident()
    steps = sum(
        _judge(_halfway(chance, texts, range(first, min(runs, first + AT_ONCE))), memory, facts)["steps"]
        for first in range(0, runs, AT_ONCE)
    )
    gc.collect()
    grown = resident() - before
    sizes = [len(memory.packed(name) or b"") for name in itertools.islice(memory.owner_of, _SAMPLE)]
    return {
        "seed": SEED,
        "runs": len(memory),
        "unpacked": min(AWAKE, len(memory)),
        "steps": steps,
        "bytes_per_run": round(grown / len(memory)),
        "checkpoint_bytes_per_run": round(sum(sizes) / len(sizes)),
        "bound": _flooded(chance, texts, facts),
    }


def resident() -> int:
    """Return how many bytes of this process are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _facts() -> Facts:
    facts = Facts()
    for policy in workload.policies(words()):
        facts.policies[policy.agent_id] = PolicyView(policy)
    return facts


def _halfway(chance: random.Random, texts: Texts, numbers: range) -> Iterator[Step]:
    """Yield the steps of these runs, mixed, each run cut off somewhere: live runs are under way, not done."""
    live = [list(workload.run(chance, texts, number, 1)) for number in numbers]
    ends = [chance.randrange(1, len(steps) + 1) for steps in live]
    for at in range(max(ends)):
        yield from (steps[at] for steps, end in zip(live, ends, strict=True) if at < end)


def _judge(steps: Iterator[Step], memory: Memory, facts: Facts) -> dict[str, int]:
    counted = {"steps": 0, "evicted": 0}
    for at, step in enumerate(steps):
        fresh = read_step(encode_step(step))  # as from Kafka: it shares nothing with the one before
        counted["evicted"] += inspect(see(fresh, at, at, 1, "marked", facts), memory, facts).evicted
        counted["steps"] += 1
    memory.changed.clear()  # as each checkpoint does
    return counted


def _flooded(chance: random.Random, texts: Texts, facts: Facts) -> dict[str, Any]:
    """Have one agent open more runs than it may hold, beside one run of each other agent."""
    memory = Memory(BOUND)
    others = _judge(_halfway(chance, texts, range(1, workload.AGENTS)), memory, facts)
    held = len(memory)
    flood = (next(workload.run(chance, texts, workload.AGENTS * number, 1)) for number in range(FLOOD))
    counted = _judge(flood, memory, facts)
    return {
        "traces_per_agent": BOUND,
        "opened_by_one_agent": FLOOD,
        "held_of_that_agent": len(memory.pools["agent-0"]),
        "evicted": counted["evicted"],
        "others_held": held,
        "others_evicted": others["evicted"] + held - (len(memory) - len(memory.pools["agent-0"])),
    }
