"""The gate's answer to one call: containment, budgets, grants, clearance, in that order; and how a refusal reads."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lictor_agent import denials, globs
from lictor_agent.errors import ToolDenied
from lictor_agent.gate import Answer, Call, Compiled, Spent, add_amounts, over_budget, verdict_in
from lictor_agent.wire import MAX_BODY, Gate, canonical

if TYPE_CHECKING:
    from lictor_agent import calls
    from lictor_agent.orders import Command
    from lictor_agent.run import Run


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate found, and what follows: `allow narrow hold ask deny`."""

    answer: Answer
    verdict: str
    traits: frozenset[str]
    version: int
    mode: str
    arguments: dict[str, Any] | None = None
    """What the tool is to be called with; None where it is what was asked for."""


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
    delegators = run.agent.delegators(run.delegation) if run.delegation else ()
    answer = _grants(run, call, policy, delegators)
    verdict = verdict_in(mode, answer)
    if verdict in ("deny", "ask"):
        return Judged(_with_instead(answer, call, (policy, *delegators)), verdict, traits, version, mode)
    clears = verdict != "hold" and mode != "observe" and not traits.isdisjoint(policy.policy.clearance.traits)
    goes_as = "hold" if clears and is_tool else verdict
    return Judged(answer, goes_as, traits, version, mode, None if mode == "observe" else answer.arguments)


def _with_instead(answer: Answer, call: "calls.Call", policies: Sequence[Compiled]) -> Answer:
    """Only a policy that refuses can tell what it allows; among those of a chain the first that has an answer does."""
    told = (made.instead(answer, call.asks, call.name) for made in policies)
    return replace(answer, instead=next(filter(None, told), ""))


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


def _grants(run: "Run", call: "calls.Call", policy: Compiled, delegators: Sequence[Compiled]) -> Answer:
    asks, name, spent = call.asks, call.name, run.spent
    values: dict[str, Any] = {
        "arguments": call.arguments or {},
        "agent": run.agent.agent_id,
        "principal": run.principal,
        "version": run.agent.version,
        "workflow": run.workflow,
        "delegator": list(run.delegation),
        "tool": name if asks == "tools" else "",
        "model": name if asks == "models" else "",
        "to_agent": name if asks == "agents" else "",
        "environment": run.agent.environment,
        "reads": run.reads(call.trace_id),
        "labels": run.labels(call.trace_id),
        "time_us": call.time_us or time.time_ns() // 1000,
        "spent": _spent(spent),
    }
    return policy.judge(Call(asks, name, values, spent.amounts), delegators)


def _spent(spent: Spent) -> dict[str, float]:
    return {
        "steps": spent.steps,
        "tool_calls": spent.tool_calls,
        "model_calls": spent.model_calls,
        "tokens": spent.tokens,
        "cost_usd": spent.cost_usd,
    }


def add_up(run: "Run", call: "calls.Call") -> None:
    """Add what a call that goes ahead comes to, for conditions on `amounts`. The caller holds the run's lock."""
    if call.asks == "tools" and not run.agent.settings.off:
        others = run.agent.delegators(run.delegation) if run.delegation else ()
        policies = [made.policy for made in (run.agent.policy(), *others)]
        add_amounts(run.spent, policies, call.name, call.arguments)


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
    return call.trace_id, call.name, hashlib.blake2b(canonical(call.asked or call.arguments), digest_size=16).digest()


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


def refusal(answer: Answer, run: "Run") -> ToolDenied:
    """Return the refusal as the agent meets it: why, by which rule and version, and what to do instead."""
    version = run.agent.policy().policy.version
    asks = answer.effect == "ask" or (answer.rule == "no_grant" and run.agent.mode() == "ask")
    said = denials.message(answer, version, asks=asks)
    verdict = "ask" if asks else "deny"
    return ToolDenied(said, verdict=verdict, rule=answer.rule, grant=answer.grant, policy_version=version)
