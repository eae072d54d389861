"""From a bad step handed to the producer to the run being unable to take another: hundreds of signed stops, open loop.

Every stop goes the whole way: SDK → Kafka → detect → Kafka → respond, signed → Kafka → SDK, on the embedded broker with
the archive running beside it. Runs begin on a fixed schedule, whether or not earlier ones have ended.
"""

import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.report import percentiles
from benchmarks.response_agent import CALL_EVERY
from lictor.demo.run import agent_environment
from lictor.policy_file import load_policies
from lictor.settings import Settings
from lictor.stack import Stack

STOPS: Final = 300
RATE_PER_S: Final = 10
PROCESSES: Final = 30
POLICY: Final = """
version: 1
defaults: {mode: enforce, clearance: {traits: [spends]}}
agents:
  bench: {grants: [{id: all, effect: allow, tools: ["*"]}]}
safety: {default: {per_minute: 1000000, fleet_share: 1.0}, actions: {}}
"""


def run(*, stops: int = STOPS, **_: Any) -> dict[str, Any]:
    """Measure; the step's own times are taken on one machine's monotonic clock."""
    with tempfile.TemporaryDirectory(prefix="lictor-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        policy = home / "policy.yml"
        policy.write_text(POLICY, encoding="utf-8")
        settings = replace(Settings.read({}), home=home)
        with Stack(settings, policies=load_policies(policy)) as stack:
            keeper = threading.Thread(target=stack.wait, daemon=True)
            keeper.start()
            many = _agent(stack, "many", stops)
            reaped = [_agent(stack, "one", 1) for _ in range(PROCESSES)]
            stack.stopping.set()
            keeper.join()
    raised = [entry["raised_ms"] for entry in many["stops"]]
    return {
        "stops": len(raised),
        "asked_for": stops,
        "rate_per_s": RATE_PER_S,
        "step_to_stop_ms": percentiles(raised),
        "first_stops_after_start_ms": percentiles([entry["raised_ms"] for entry in many["first"]]),
        "step_to_process_end_ms": percentiles([entry["reaped_ms"] for entry in reaped]),
        "processes": len(reaped),
        "slipped_calls_per_stop": round(sum(entry["slipped"] for entry in many["stops"]) / max(1, len(raised)), 2),
        "next_call_every_ms": CALL_EVERY,
    }


def _agent(stack: Stack, how: str, count: int) -> dict[str, Any]:
    """Run the agent of the benchmark in a process of its own; under a supervisor where its end is measured."""
    agent = [sys.executable, "-m", "benchmarks.response_agent", how, str(count), str(RATE_PER_S)]
    supervised = [sys.executable, "-m", "lictor_agent.cli", "run", "--", *agent] if how == "one" else agent
    environment = agent_environment(stack, "bench", {})
    began_file = stack.settings.home / "began"
    began_file.unlink(missing_ok=True)
    environment["BENCH_BEGAN"] = str(began_file)
    done = subprocess.run(supervised, env=environment, capture_output=True, text=True, check=False, timeout=600)
    if how == "one":
        handed_ns, ended_ns = (int(word) for word in began_file.read_text(encoding="ascii").split())
        return {"reaped_ms": (ended_ns - handed_ns) / 1e6}
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))
