"""The gate's answer to one call: containment, budgets, grants, clearance, in that order; and how a refusal reads."""

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor_agent import denials, globs
from lictor_agent.errors import ToolDenied
from lictor_agent.gate import Answer, Call, Compiled, over_budget, verdict_in
from lictor_agent.wire import MAX_BODY, Gate, canonical

if TYPE_CHECKING:
    from lictor_agent import calls
    from lictor_agent.orders import Command
    from lictor_agent.run import Run


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate found, and what follows: `allow deny ask hold`."""

    answer: Answer
    verdict: str
    traits: frozenset[str]
    version: int
    mode: str
    arguments: dict[str, Any] | None = None
    """As they are to be used, where the gate narrowed them."""


def judge(run: "Run", call: "calls.Call") -> Judged:
    """Ask the gate about a call. Waits only for the very first one, until what stands has been read."""
    if run.agent.settings.off:
        return Judged(Answer("allow", "", "off", "LICTOR_MODE=off"), "allow", frozenset(), 0, "off")
    policy = run.agent.policy()
    is_tool = call.asks == "tools"
    traits = policy.traits(call.name) if is_tool else frozenset()
    version, mode = policy.policy.version, policy.policy.mode
    answer = _standing(run, call, traits) or _budget(run, call, policy)
    if answer is None and run.agent.cold() and not traits.isdisjoint(policy.policy.cold_start_deny):
        answer = Answer("deny", "", "cold_start", "neither Kafka nor a policy has been reached since the agent started")
    if answer is not None:
        return Judged(answer, "deny", traits, version, mode)
    answer = _grants(run, call, policy)
    verdict = verdict_in(mode, answer)
    clears = (
        verdict in ("allow", "narrow") and mode != "observe" and not traits.isdisjoint(policy.policy.clearance.traits)
    )
    verdict = "hold" if clears and is_tool else verdict
    arguments = answer.arguments if mode != "observe" else None
    return Judged(answer, verdict, traits, version, mode, arguments)


def _standing(run: "Run", call: "calls.Call", traits: frozenset[str]) -> Answer | None:
    order = run.agent.control.denied(call.name, traits)
    return Answer("deny", "", "containment", f"{order.action}: {order.reason}") if order else None


def _budget(run: "Run", call: "calls.Call", policy: Compiled) -> Answer | None:
    budgets = policy.policy.budgets
    if policy.policy.mode == "observe":
        return None
    most = budgets.same_call
    if most is not None and call.asks == "tools" and run.spent.same_call[same_call(call)] >= most:
        return Answer("deny", "", "budget:same_call", f"the same call was made {most} times in this trace")
    return over_budget(budgets, run.spent, call.asks, time.monotonic())


def _grants(run: "Run", call: "calls.Call", policy: Compiled) -> Answer:
    values: dict[str, Any] = {
        "arguments": call.arguments or {},
        "agent": run.agent.agent_id,
        "version": run.agent.version,
        "environment": run.agent.environment,
        "principal": run.principal,
        "workflow": run.workflow,
        "delegator": list(run.delegation),
        "tool": call.name if call.asks == "tools" else "",
        "model": call.name if call.asks == "models" else "",
        "to_agent": call.name if call.asks == "agents" else "",
        "reads": run.reads(call.trace_id),
        "labels": run.labels(call.trace_id),
        "spent": run.spent.counts(),
    }
    asked = Call(call.asks, call.name, values, call.time_us, run.spent.amounts)
    return policy.judge(asked, run.agent.delegators(run.delegation) if run.delegation else ())


def reads_through(run: "Run", call: "calls.Call") -> set[str]:
    """Return what a tool's result brings into its trace."""
    if run.agent.settings.off:
        return set()
    outcome = call.outcome
    return result_reads(run.agent.policy(), call.name, str(outcome.get("text", "")), outcome.get("origin", "tool"))


def result_reads(policy: Compiled, tool: str, text: str, origin: str) -> set[str]:
    """Return what a result brings in, as `detect` judges it afterwards: what will be cut is nobody's trusted word."""
    traits = policy.traits(tool)
    found = {"sensitive"} if "reads_sensitive" in traits else set()
    foreign = "reads_untrusted" in traits or origin in ("web", "file", "agent", "memory")
    trusted = globs.match_any(policy.policy.trusted_tools, tool) and len(text) <= MAX_BODY
    if foreign and not trusted:
        found.add("untrusted")
    return found


def message_reads(text: str, origin: str) -> set[str]:
    """Return what a message brings in, as `detect` judges it afterwards. The agent's own words bring in nothing."""
    trusted = origin in ("user", "operator") and len(text) <= MAX_BODY
    return set() if trusted or origin == "agent" else {"untrusted"}


def same_call(call: "calls.Call") -> tuple[str, str, bytes]:
    """Return what makes two calls of one trace the same."""
    return call.trace_id, call.name, hashlib.blake2b(canonical(call.arguments), digest_size=16).digest()


def gate_of(judged: Judged) -> Gate:
    """Return what is published of the gate's answer."""
    answer = judged.answer
    return Gate(
        verdict=judged.verdict,
        grant=answer.grant[:128],
        policy_version=judged.version,
        rule=answer.rule[:128],
        mode=judged.mode,
    )


def after_clearance(run: "Run", command: "Command | None") -> None:
    """Let the call go on, or raise, as `detect` said; without an answer, as the policy says."""
    policy = run.agent.policy().policy
    word = str(command.arguments.get("word", "deny")) if command else policy.clearance.on_timeout
    if word == "allow":
        return
    why = command.reason if command else "no clearance came in time"
    effect = "ask" if word in ("ask", "hold") else "deny"
    raise refusal(Answer(effect, "", f"clearance:{word if command else 'timeout'}", why or word), run)


def refusal(answer: Answer, run: "Run", call: "calls.Call | None" = None) -> ToolDenied:
    """Return the refusal as the agent meets it: why, by which rule and version, and what to do instead."""
    policy = run.agent.policy().policy
    asks = answer.effect == "ask" or (answer.rule == "no_grant" and policy.mode == "ask")
    instead = denials.instead_of(policy, answer, call.asks, call.name) if call is not None else ""
    message = denials.text(answer, policy.version, asks=asks, instead=instead)
    verdict = "ask" if asks else "deny"
    return ToolDenied(message, verdict=verdict, rule=answer.rule, grant=answer.grant, policy_version=policy.version)
