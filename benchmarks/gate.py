"""What the gate costs an agent: asking, publishing, and writing ahead, in the agent's own thread."""

import gc
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.kafka_bench import kafka_bench
from benchmarks.report import percentiles
from lictor_agent.agent import Agent
from lictor_agent.gate import Compiled
from lictor_agent.policy import Amount, Budgets, Grant, Layer, Policy, Test
from lictor_agent.settings import AgentSettings
from lictor_agent.spool import Spool, Spooled
from schemas.seal import agent_key

if TYPE_CHECKING:
    from lictor_agent.run import Run

CALLS: Final = 20_000
EFFECTS: Final = 500
GRANTS: Final = (10, 200, 2000)


def run(**_: Any) -> dict[str, Any]:
    """Measure all of it."""
    gate_us = {str(grants): measure_gate(grants) for grants in GRANTS}
    gate_delegated_us = {str(grants): measure_gate(grants, delegators=1) for grants in GRANTS}
    with kafka_bench() as bench, tempfile.TemporaryDirectory() as folder:
        settings = AgentSettings(
            kafka=bench.settings.kafka,
            root_key=bench.keys.root_public(),
            agent_key=agent_key(bench.keys.master(), "agent-1"),
            spool=Path(folder),
        )
        publish_us, write_ahead_ms = measure_publishing(settings)
        fsync_ms = measure_fsync(Path(folder))
    return {
        "gate_us": gate_us,
        "gate_delegated_us": gate_delegated_us,
        "publish_us": publish_us,
        "write_ahead_ms": write_ahead_ms,
        "write_ahead_fsync_ms": fsync_ms,
        "rss_mib": _rss_mib(),
    }


def measure_gate(grants: int, delegators: int = 0) -> dict[str, float]:
    """Judge calls under a policy of so many grants in three layers, and as many of each delegator; microseconds.

    Four of five names were never heard of. Grants are found by name, start, end and middle, and ask about hosts,
    patterns, sums, what was spent and the hour.
    """
    from lictor_agent import verdicts  # noqa: PLC0415 - what is measured

    agent = Agent("bench", version="1", owner="", tools=[], settings=_nowhere())
    agent.control.policy = Compiled(_policy("bench", grants))
    bosses = [Compiled(_policy(f"boss{at}", grants)) for at in range(delegators)]
    agent.delegators = lambda chain: bosses[: len(chain)]  # type: ignore[method-assign]
    agent.link.ready.set()
    run = agent.run(principal="bench", handoff={"lictor-delegation": ",".join(f"boss{at}" for at in range(delegators))})
    calls = [_call(run, number, grants) for number in range(CALLS)]
    times = []
    gc.collect()
    for call in calls:
        began = time.perf_counter_ns()
        verdicts.judge(run, call)
        times.append((time.perf_counter_ns() - began) / 1000)
    return percentiles(times) | {"max": round(max(times), 1)}


def _call(run: "Run", number: int, grants: int) -> Any:
    at = number * 7919 % grants
    names = (
        f"tool{at}.read",
        f"tool{at}.op{number}",
        f"x{number}.act{at}",
        f"x{number}.mid{at}.y",
        f"never.heard{number}",
    )
    fields = {"amount": number % 100, "url": f"https://api{number}.example.com/x", "to": "a@example.com"}
    return run.tool(names[number % len(names)], **fields)


_SHAPES: Final = ("tool{}.read", "tool{}.*", "*.act{}", "*.mid{}.*")


def _policy(agent_id: str, grants: int) -> Policy:
    when = {
        "arguments.amount": Test(lte=500),
        "arguments.to": Test(glob=("*@example.com",)),
        "arguments.url": Test(domain=("*.example.com",)),
        "amounts.paid": Test(lte=1e9),
        "spent.steps": Test(lt=1e9),
        "time.hour": Test(gte=0),
    }
    org = [Grant(f"no{n}", "deny", (f"*.mid{n}.drop",)) for n in range(grants // 3)]
    team = [
        Grant(f"ask{n}", "ask", (f"*.act{n}",), when={"reads": Test(any_of=("untrusted",))}) for n in range(grants // 3)
    ]
    own = [Grant(f"g{n}", "allow", (_SHAPES[n % len(_SHAPES)].format(n),), when=when) for n in range(grants * 2 // 3)]
    free = Grant("any", "allow", ("*",))
    layers = (
        Layer("org", (*org, free)),
        Layer("team", (*team, free)),
        Layer("agent", (*own[: grants - len(org) * 2],)),
    )
    return Policy(
        agent_id=agent_id,
        version=1,
        mode="enforce",
        layers=layers,
        budgets=Budgets(steps=1_000_000, tool_calls=1_000_000, cost_usd=100.0),
        traits={"*": ("reads_sensitive",), **dict.fromkeys((f"*.mid{n}.*" for n in range(0, grants, 10)), ("egress",))},
        amounts={"paid": Amount(tools=("tool*", "*.act*"), argument="amount")},
    )


def _nowhere() -> AgentSettings:
    return AgentSettings(kafka="127.0.0.1:1", root_key=b"", agent_key=os.urandom(32))


def measure_publishing(settings: AgentSettings) -> tuple[dict[str, float], dict[str, float]]:
    """Publish messages without waiting, then calls with effects that wait for the broker; µs and ms."""
    agent = Agent("agent-1", version="1", owner="", tools=[], settings=settings)
    agent.link.start()
    agent.link.ready.wait(10)
    with agent.run() as run:
        for _ in range(200):
            run.message("warm " * 20)
        publish = []
        for _ in range(CALLS // 4):
            began = time.perf_counter_ns()
            run.message("a message of a hundred characters or so, as agents say them all day long, this one too")
            publish.append((time.perf_counter_ns() - began) / 1000)
            time.sleep(0.0005)  # a busy agent: two thousand steps a second
        ahead = []
        for number in range(EFFECTS):
            began = time.perf_counter_ns()
            with run.tool("notes.write", text=f"note {number}"):
                ahead.append((time.perf_counter_ns() - began) / 1e6)
    agent.close(30)
    return percentiles(publish), percentiles(ahead)


def measure_fsync(folder: Path) -> dict[str, float]:
    """Write records to the spool, each fsynced; milliseconds."""
    spool = Spool(folder, "bench")
    record = Spooled("lictor.steps", "k" * 32, b"v" * 600, [("lictor-mark", b"m" * 16)])
    times = []
    for _ in range(EFFECTS):
        began = time.perf_counter_ns()
        spool.write(record)
        times.append((time.perf_counter_ns() - began) / 1e6)
    spool.close(keep=False)
    return percentiles(times)


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1)
