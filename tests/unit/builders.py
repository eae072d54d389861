"""Makers of what the tests judge: a step, a policy, a finding, and a whole trace judged step by step."""

import itertools
import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from detectors.base import Detector, Seen
from detectors.facts import Facts
from detectors.inspect import ALL, Judgement, inspect, see
from detectors.state import Memory, RunState, TraceEntry, TraceState
from detectors.words import digest64
from lictor.policy_file import words
from schemas import ids
from schemas.command import Command, CommandAction, Target
from schemas.errors import BadRecord
from schemas.finding import Evidence, Finding, Identity
from schemas.keys import KEY_LIST, Key, KeyList, Role
from schemas.message import Message
from schemas.policy import AgentPolicy, Effect, Grant, Layer, Test
from schemas.receipt import Receipt
from schemas.rules import Row, RuleBook, Safety
from schemas.seal import Headers, Keyring, Signer, key_id_of, public_bytes
from schemas.step import Gate, Step, Verdict, content, encode_step
from schemas.verdict import Verdict as Word

NOW: Final = 1_800_000_000_000_000
"""Microseconds: the moment at which the tests take place."""
SECOND: Final = 1_000_000
AGENT: Final = "invoice-bot"
RUN: Final = "run-1"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
POLICIES: Final = "lictor.policies"


def a_step(kind: str = "message", **fields: Any) -> Step:
    """Return a step whose id and digest belong to it; `fields` replace what it says."""
    said: dict[str, Any] = {
        "v": 1,
        "agent_id": AGENT,
        "run_id": RUN,
        "trace_id": TRACE,
        "seq": 1,
        "time_us": NOW,
        **fields,
        "kind": kind,
    }
    said.setdefault("step_id", ids.step_id(said["agent_id"], said["run_id"], said["trace_id"], said["seq"]))
    step = Step(**said)
    return Step(**{**said, "digest": said.get("digest") or ids.content_digest(content(step))})


def gate(verdict: Verdict, rule: str = "grant") -> Gate:
    """Return what a gate said."""
    return Gate(verdict, rule=rule, policy_version=1, mode="enforce")


def a_grant(effect: Effect = "allow", *tools: str, name: str = "g", **more: Any) -> Grant:
    """Return a grant for tools; `when` maps a path to the fields of a test."""
    when = {path: Test(**test) for path, test in more.pop("when", {}).items()}
    if not tools and "models" not in more and "agents" not in more:
        tools = ("*",)
    return Grant(id=name, effect=effect, tools=tools, when=when, **more)


def a_policy(*grants: Grant, agent_id: str = AGENT, mode: str = "enforce", **more: Any) -> AgentPolicy:
    """Return a policy of one layer with these grants, and the words of tools that come with Lictor."""
    layers = more.pop("layers", (Layer(name="agent", grants=grants),) if grants else ())
    return AgentPolicy(
        **{"agent_id": agent_id, "version": 1, "issued_us": 1, "mode": mode, "layers": layers, "words": words()} | more
    )


def a_rule_book(*rows: Row, safety: Safety | None = None, **more: Any) -> RuleBook:
    """Return a rule book; without rows, every finding is a reason to stop."""
    autonomy = rows or (Row(id="stop-all", action="stop"),)
    return RuleBook(version=1, issued_us=1, autonomy=autonomy, safety=safety or Safety(), **more)


def facts_with(*policies: AgentPolicy, rules: RuleBook | None = None) -> Facts:
    """Return what a worker knows once these policies are in force."""
    facts = Facts()
    for policy in policies:
        facts.take_policy(policy)
    facts.rules = rules or facts.rules
    return facts


def seen(step: Step, facts: Facts | None = None, **more: Any) -> Seen:
    """Return a step as a detector sees it, appended at its own time."""
    return see(
        step,
        digest64(encode_step(step)),
        more.get("offset", 0),
        more.get("append_us", step.time_us),
        more.get("identity", "marked"),
        facts or facts_with(a_policy(a_grant("allow"))),
    )


class Story:
    """A trace told step by step: each step takes the next `seq` and is judged in the light of those before."""

    def __init__(
        self, *policies: AgentPolicy, rules: RuleBook | None = None, watch: tuple[Detector, ...] = ALL, bound: int = 64
    ) -> None:
        self.facts = facts_with(*(policies or (a_policy(a_grant("allow")),)), rules=rules)
        self.memory = Memory(bound)
        self.watch = watch
        self.offset = 0
        self.seqs: dict[tuple[str, str], int] = {}

    def judge(self, step: Step, *, identity: Identity = "marked", append_us: int | None = None) -> Judgement:
        """Judge one step as it stands."""
        self.offset += 1
        at = step.time_us if append_us is None else append_us
        found = seen(step, self.facts, offset=self.offset, identity=identity, append_us=at)
        return inspect(found, self.memory, self.facts, self.watch)

    def tell(self, kind: str, **fields: Any) -> list[Finding]:
        """Judge the next step of its run and trace; `identity` and `append_us` say how it arrived."""
        arrived = {name: fields.pop(name) for name in ("identity", "append_us") if name in fields}
        run_id, trace_id = fields.setdefault("run_id", RUN), fields.setdefault("trace_id", TRACE)
        fields.setdefault("seq", self.seqs.get((run_id, trace_id), 0) + 1)
        self.seqs[run_id, trace_id] = fields["seq"]
        fields.setdefault("time_us", NOW + self.offset * SECOND)
        return list(self.judge(a_step(kind, **fields), **arrived).findings)

    def call(self, tool: str, verdict: Verdict = "allow", rule: str = "grant", **arguments: Any) -> list[Finding]:
        """Judge a call of a tool that asked the gate."""
        return self.tell("tool_call", tool=tool, arguments=arguments, gate=gate(verdict, rule))

    def result(self, tool: str, text: str = "", origin: str = "tool", **fields: Any) -> list[Finding]:
        """Judge what a tool returned."""
        return self.tell("tool_result", tool=tool, text=text, origin=origin, outcome="executed", **fields)

    def entry(self, trace_id: str = TRACE) -> TraceEntry:
        """Return what is remembered of a trace that was opened."""
        entry = self.memory.get(trace_id)
        assert entry is not None
        return entry

    def trace(self, trace_id: str = TRACE) -> TraceState:
        """Return what its agents' own steps have made of a trace."""
        return self.entry(trace_id).marked

    def run(self, run_id: str = RUN) -> RunState:
        """Return what is remembered of a run in the trace."""
        return self.trace().runs[run_id]


def claims(findings: list[Finding]) -> list[str]:
    """Return the rule ids of findings."""
    return [finding.rule_id for finding in findings]


def a_finding(name: str = "f", **fields: Any) -> Finding:
    """Return a finding a person would act on; `name` tells one from another."""
    step = a_step("tool_call", tool="mail.send", seq=fields.get("seq", 7))
    said: dict[str, Any] = {
        "finding_id": ids.finding_id("lictor.tainted_egress", 1, name, [step.step_id]),
        "rule_id": "lictor.tainted_egress",
        "detector": "tainted_egress",
        "title": "Sensitive data may leave on a stranger's word",
        "severity": "high",
        "confidence": 0.9,
        "reason": "only untrusted content named evil.example",
        "agent_id": AGENT,
        "run_id": RUN,
        "trace_id": TRACE,
        "step_id": step.step_id,
        "seq": step.seq,
        "tool": step.tool,
        "evidence": (Evidence(step_id=step.step_id, seq=step.seq, role="tool_call mail.send"),),
    }
    return Finding.model_validate({**said, **fields})


def a_command(action: CommandAction = "stop", **fields: Any) -> Command:
    """Return an order against the run."""
    said: dict[str, Any] = {
        "command_id": "c" * 32,
        "action": action,
        "target": Target(agent_id=AGENT, run_id=RUN),
        "epoch": 1,
        "issued_us": NOW,
        "expires_us": NOW + 60 * SECOND,
        "reason": "a person said so",
    }
    return Command.model_validate({**said, **fields})


def a_receipt(command_id: str, **fields: Any) -> Receipt:
    """Return the SDK's receipt of an effective order."""
    said: dict[str, Any] = {"receipt_id": "r", "agent_id": AGENT, "run_id": RUN, "layer": "sdk", "status": "effective"}
    return Receipt.model_validate({**said, "command_id": command_id, "time_us": NOW, **fields})


_words = itertools.count()


def a_verdict(kind: str, **fields: Any) -> Word:
    """Return what a person told `respond`; each word has an id of its own."""
    verdict_id = f"v{next(_words)}"
    said: dict[str, Any] = {"verdict_id": verdict_id, "kind": kind, "agent_id": AGENT, "run_id": RUN, "time_us": NOW}
    return Word.model_validate({"reason": "asked for by the owner", "person": "alice", **said, **fields})


def a_private_key(name: str) -> Ed25519PrivateKey:
    """Return a key that is the same in every run of the tests."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(ids.named("lictor.test", name) * 2))


def a_signer(name: str) -> Signer:
    """Return the signer with the key of that name."""
    private = a_private_key(name)
    return Signer(key_id_of(public_bytes(private)), private)


def an_entry(name: str, role: Role, **fields: Any) -> Key:
    """Return the entry of a key on the key list."""
    public = public_bytes(a_private_key(name))
    return Key(key_id=key_id_of(public), role=role, name=name, public=public.hex(), **fields)


def signed_list(*entries: Key, version: int = 1, by: str = "root") -> tuple[Headers, bytes]:
    """Return a key list as it is published: its headers and its value."""
    value = KeyList(version=version, issued_us=NOW, keys=entries).value()
    return Signer("root", a_private_key(by)).seal(POLICIES, KEY_LIST, KeyList.type, value), value


def keyring_of(*entries: Key) -> Keyring:
    """Return a keyring that has taken a list of these keys."""
    ring = Keyring(public_bytes(a_private_key("root")))
    headers, value = signed_list(*entries)
    assert ring.load(POLICIES, KEY_LIST, headers, value)
    return ring


def example(name: str) -> dict[str, Any]:
    """Return the fields of the golden message of that name."""
    path = Path(__file__).parents[1] / "compat" / "v1" / f"{name}.json"
    fields: dict[str, Any] = json.loads(path.read_bytes())
    return fields


def refused(message: type[Message], name: str, /, **changes: Any) -> str:
    """Return why a golden message is not read once these fields are changed; "" where it is."""
    try:
        message.read(json.dumps({**example(name), **changes}).encode())
    except BadRecord as error:
        return str(error)
    return ""
