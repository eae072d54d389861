"""Tests of your own agent against the real gate and your real policy, without Kafka.

    # conftest.py
    pytest_plugins = ["lictor_agent.testing"]

    # test_invoices.py
    def test_large_payments_are_refused(lictor):
        lab = lictor("policy.yml", "invoices")
        with lab.run(principal="erin@example.com"):
            with pytest.raises(ToolDenied):
                pay("INV-313", 4900)
        assert lab.denied == ["payments.create"]

What is published stays in the lab. A call that waits for clearance gets the answer that the lab was told, `allow` at first.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from lictor_agent.agent import Agent
from lictor_agent.errors import BadConfiguration
from lictor_agent.gate import Compiled
from lictor_agent.link import Link, Outgoing
from lictor_agent.orders import Command, Ordered, Target
from lictor_agent.policy import Policy, read_policy
from lictor_agent.run import Run
from lictor_agent.settings import AgentSettings
from lictor_agent.wire import Step

__all__ = ["Lab", "lictor"]

_NOWHERE: Final = "127.0.0.1:1"
_read_step = msgspec.json.Decoder(Step).decode
Source = str | Path | Mapping[str, Any]
"""A policy file, a policy as `lictor policy show --json` prints it, or such a policy as a dict."""


class _LabLink(Link):
    """Hands over what is published instead of sending it: at once acknowledged, at once cleared."""

    lab: "Lab"

    def publish(self, record: Outgoing) -> None:
        """Keep a record."""
        self.lab.take(record)

    def on_disk(self, record: Outgoing) -> None:
        """Nothing goes to disk: everything is acknowledged."""


class Lab:
    """One agent with its policy. `steps`: what it published, in order."""

    def __init__(self, policy: Policy, agent_id: str, folder: Path, **more: Any) -> None:
        settings = AgentSettings(kafka=_NOWHERE, root_key=b"", agent_key=b"", spool=folder)
        given = {"version": "", "owner": "", "tools": (), **more}
        self.agent = Agent(agent_id, settings=settings, **given)
        link = _LabLink(settings, agent_id, self.agent.control.hear)
        link.lab = self
        link.ready.set()
        self.agent.link = link
        self.agent.control.policy = Compiled(policy)
        self.steps: list[Step] = []
        self.clearance = "allow"
        """What a call that waits is told: `allow`, `deny`, `ask` or `hold`."""

    def run(self, **more: Any) -> Run:
        """Return a new run of the agent, as `agent.run` does."""
        return self.agent.run(**more)

    def take(self, record: Outgoing) -> None:
        """Keep what is published, and answer as Kafka and `detect` would."""
        if record.topic.endswith(".steps"):
            step = _read_step(record.value)
            self.steps.append(step)
            if step.gate is not None and step.gate.verdict == "hold":
                self._clear(step)
        if record.acked is not None:
            record.acked.set_result(None)

    def _clear(self, step: Step) -> None:
        target = Target(step.agent_id, step.run_id, step.step_id, step.digest)
        said = {"arguments": {"word": self.clearance}, "reason": f"the lab says {self.clearance}"}
        self.agent.control.clear(Command(step.step_id, "clearance", target, 0, 0, 0, **said))  # type: ignore[arg-type]

    def published(self, kind: str = "", *, tool: str = "") -> list[Step]:
        """Return the steps of a kind, and about a tool."""
        return [step for step in self.steps if kind in ("", step.kind) and tool in ("", step.tool)]

    def _with(self, verdict: str) -> list[str]:
        return [s.tool or s.model or s.to_agent for s in self.steps if s.gate is not None and s.gate.verdict == verdict]

    @property
    def denied(self) -> list[str]:
        """What the gate refused, by name, in order."""
        return self._with("deny")

    @property
    def asked(self) -> list[str]:
        """What a person would have had to agree to."""
        return self._with("ask")

    @property
    def held(self) -> list[str]:
        """What waited for clearance."""
        return self._with("hold")

    @property
    def narrowed(self) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """What was narrowed: tool, what was asked for, what the tool got."""
        return [(s.tool, s.asked, s.arguments or {}) for s in self.steps if s.asked is not None]

    def stop(self, run: Run, reason: str = "the test says so") -> None:
        """Order a run to stop, as Lictor would."""
        run.obey(Ordered("stop", f"stop:{run.run_id}", reason))

    def pause(self, run: Run) -> None:
        """Order a run to pause."""
        run.obey(Ordered("pause", f"pause:{run.run_id}:{len(self.steps)}"))

    def resume(self, run: Run) -> None:
        """Let a paused run go on."""
        run.obey(Ordered("resume", f"resume:{run.run_id}:{len(self.steps)}"))


@pytest.fixture
def lictor(tmp_path: Path) -> Callable[..., Lab]:
    """Return a maker of labs: `lictor(policy, agent_id)`. More arguments are those of `lictor_agent.connect`."""

    def make(policy: Source, agent_id: str, **more: Any) -> Lab:
        return Lab(_policy(policy, agent_id), agent_id, tmp_path / "spool", **more)

    return make


def _policy(source: Source, agent_id: str) -> Policy:
    try:
        if isinstance(source, Mapping):
            return read_policy(json.dumps({"agent_id": agent_id, "version": 1, **source}))
        path = Path(source)
        return read_policy(path.read_bytes() if path.suffix == ".json" else _shown(path, agent_id))
    except OSError as error:
        raise BadConfiguration(f"the policy {source} cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise BadConfiguration(f"the policy {source} cannot be read: {error}") from None


def _shown(path: Path, agent_id: str) -> bytes:
    """Return an agent's policy out of a policy file, as Lictor would publish it. Needs Lictor beside the agent."""
    command = [sys.executable, "-m", "lictor", "policy", "show", str(path), agent_id, "--json"]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own program
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise BadConfiguration(f"`lictor policy show {path} {agent_id}` failed: {why}")
    return done.stdout
