"""What grants can say, met by a real run: sums, bounds that narrow, work for others, and what a refused agent is told."""

from typing import Any

import pytest

from lictor_agent import ToolDenied
from lictor_agent.denials import LONGEST
from tests.unit.sdk._agents import Lab, denied
from tests.unit.streams._builders import AGENT, policy


def grants(*said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a policy's fields, with one layer of grants about any tool unless they say otherwise."""
    made = [{"id": f"g{at}", "effect": "allow", **({"tools": ["*"]} | each)} for at, each in enumerate(said)]
    return {"layers": [{"name": "org", "grants": made}], **more}


def call_steps(lab: Lab) -> list[Any]:
    """Return the calls that were published."""
    return [step for step in lab.steps() if step.kind == "tool_call"]


CAP = {"effect": "narrow", "narrow": {"arguments.limit": 10, "arguments.to": {"keep": ["*@ours.test"]}}}


def test_a_narrowed_call_is_made_with_the_rewritten_arguments_and_both_forms_are_kept(lab: Lab) -> None:
    """A tool would be called in full although the policy caps it, or nobody would know what was asked for."""
    lab.policy(version=2, **grants({}, CAP))
    asked = {"limit": 500, "to": ["a@ours.test", "eve@evil.test"]}
    narrowed = {"limit": 10, "to": ["a@ours.test"]}
    with lab.agent.run() as run:
        with run.tool("search", **asked) as call:
            assert call.arguments == narrowed
        assert run.invoke("search", lambda **given: given, asked) == narrowed
    assert asked == {"limit": 500, "to": ["a@ours.test", "eve@evil.test"]}
    for step in call_steps(lab):
        assert (step.gate.verdict, step.gate.grant, step.arguments, step.asked) == ("narrow", "g1", narrowed, asked)


def test_a_flag_that_the_policy_sets_reaches_the_tool(lab: Lab) -> None:
    """A dry run would be a real one, since 1 and true look alike to the program."""
    lab.policy(version=2, **grants({}, {"effect": "narrow", "narrow": {"arguments.dry": True}}))
    with lab.agent.run() as run:
        assert run.invoke("drop", lambda dry: dry, {"dry": 1}) is True


def test_a_call_that_needs_no_narrowing_is_plainly_allowed(lab: Lab) -> None:
    """Every small request would look as if it had been cut down."""
    lab.policy(version=2, **grants({}, CAP))
    with lab.agent.run() as run, run.tool("search", limit=5):
        pass
    (step,) = call_steps(lab)
    assert (step.gate.verdict, step.arguments, step.asked) == ("allow", {"limit": 5}, None)


def test_what_cannot_be_narrowed_is_refused(lab: Lab) -> None:
    """A text in the place of a number would slip past the cap."""
    lab.policy(version=2, **grants({}, CAP))
    with lab.agent.run() as run:
        refused = denied(run, "search", limit="500")
    assert (refused.rule, refused.grant, refused.verdict) == ("narrow", "g1", "deny")
    assert "grant g1 cannot narrow arguments.limit: only a number can be capped" in str(refused)


def test_in_observe_nothing_is_rewritten(lab: Lab) -> None:
    """Watching an agent would change what it does."""
    lab.policy(version=2, mode="observe", **grants({}, CAP))
    with lab.agent.run() as run, run.tool("search", limit=500) as call:
        assert call.arguments == {"limit": 500}
    assert [step.asked for step in call_steps(lab)] == [None]


def test_a_narrowed_call_counts_as_the_same_call_each_time_it_is_asked_for(lab: Lab) -> None:
    """A loop would go on for ever because its calls are narrowed."""
    lab.policy(version=2, **grants({}, CAP, budgets={"same_call": 2}))
    with lab.agent.run() as run:
        for _ in range(2):
            with run.tool("search", limit=500):
                pass
        assert denied(run, "search", limit=500).rule == "budget:same_call"


PAID = {"amounts": {"paid": {"tools": ["pay*"], "argument": "amount"}}}


def test_a_sum_over_the_run_is_kept(lab: Lab) -> None:
    """Ten payments of a permitted size would add up to any sum."""
    lab.policy(version=2, **grants({"when": {"amounts.paid": {"lte": 100}}}, **PAID))
    with lab.agent.run() as run:
        for tool, amount in (("pay", 60), ("pay.fast", 39.5), ("other", 1000)):
            with run.tool(tool, amount=amount):
                pass
        assert denied(run, "pay", amount=1).rule == "no_grant"
        with run.tool("pay", amount=0.5):
            pass
        with run.tool("pay"):
            pass
        assert run.spent.amounts == {"paid": 100.0}
    with lab.agent.run() as run, run.tool("pay", amount=100):
        pass


@pytest.mark.parametrize("amount", ["60", True, -1, None, [60], {"x": 60}, 10**400])
def test_an_amount_that_is_none_is_doubt(lab: Lab, amount: object) -> None:
    """A negative payment, or one written as text, would make room for more."""
    lab.policy(version=2, **grants({"when": {"amounts.paid": {"lte": 100}}}, **PAID))
    with lab.agent.run() as run:
        denied(run, "pay", amount=amount)
        with run.tool("pay", amount=100):
            pass


def test_a_sum_with_something_uncountable_in_it_stays_in_doubt(lab: Lab) -> None:
    """One payment that nobody can add up would be forgotten by the next."""
    free = {"tools": ["pay.free"]}
    lab.policy(version=2, **grants(free, {"tools": ["pay"], "when": {"amounts.paid": {"lte": 100}}}, **PAID))
    with lab.agent.run() as run:
        with run.tool("pay.free", amount="lots"):
            pass
        denied(run, "pay", amount=1)


def test_what_was_narrowed_is_what_is_added_up(lab: Lab) -> None:
    """A capped payment would use up the sum as if it had been made in full."""
    cap = {"effect": "narrow", "tools": ["pay"], "narrow": {"arguments.amount": 10}}
    lab.policy(version=2, **grants({}, cap, {"effect": "deny", "when": {"amounts.paid": {"gt": 600}}}, **PAID))
    with lab.agent.run() as run:
        with run.tool("pay", amount=500):
            pass
        assert run.spent.amounts == {"paid": 10.0}


@pytest.mark.parametrize(("path", "bound"), [("spent.tool_calls", 2), ("spent.steps", 5), ("spent.model_calls", 1)])
def test_grants_can_end_with_what_a_run_has_used(lab: Lab, path: str, bound: int) -> None:
    """A permission for the first calls would hold for all."""
    lab.policy(version=2, **grants({"when": {path: {"lt": bound}}}))
    with lab.agent.run() as run:
        for _ in range(2):
            with run.tool("crm.read"):
                pass
        with run.model_call("m"):
            pass
        denied(run, "crm.read")


def test_a_bound_on_something_nobody_counts_is_never_permission(lab: Lab) -> None:
    """A slip of the pen in a policy would allow everything."""
    lab.policy(version=2, **grants({"tools": ["a"], "when": {"spent.stepps": {"lt": 5}}}, {"tools": ["b"]}))
    with lab.agent.run() as run:
        denied(run, "a")
        with run.tool("b"):
            pass


def test_grants_can_ask_where_and_by_whom_a_call_is_made(lab: Lab) -> None:
    """What may be done in a test environment would be allowed in production."""
    when = {
        "environment": {"eq": "staging"},
        "agent": {"eq": AGENT},
        "tool": {"ne": "drop"},
        "labels": {"none_of": ["pii"]},
    }
    lab.policy(version=2, **grants({"when": when}))
    with lab.agent.run() as run:
        denied(run, "crm.read")
        lab.agent.environment = "staging"
        denied(run, "drop")
        with run.tool("crm.read") as call:
            call.result("a customer", labels=["pii"])
        denied(run, "crm.read")


def test_work_for_others_has_the_grants_of_all_of_them(lab: Lab) -> None:
    """An agent that may not pay could have another one pay."""
    lab.policy(version=2, **grants({}))
    boss = {
        "traits": {},
        **grants({"tools": ["crm.*"]}, {"tools": ["pay"], "when": {"amounts.paid": {"lte": 5}}}, **PAID),
    }
    lab.policy(policy("boss", **boss))
    with lab.agent.run() as run, run.tool("mail"):
        pass
    with lab.agent.run(handoff={"lictor-delegation": "boss"}) as run:
        with run.tool("crm.read"):
            pass
        refused = denied(run, "mail")
        assert "by the policy of boss, for whom it acts: no grant of layer org allows 'mail'" in str(refused)
        with run.tool("pay", amount=3):
            pass
        denied(run, "pay", amount=3)
        assert run.spent.amounts == {"boss/paid": 3.0}


def told(lab: Lab, tool: str, **arguments: object) -> str:
    """Return what a refused agent is told, less what is the same every time."""
    with lab.agent.run() as run:
        said = str(denied(run, tool, **arguments))
    assert said.isprintable()
    assert len(said) <= LONGEST
    return said.partition(": ")[2].removesuffix(" Do not try another way; say so instead.")


def test_a_refused_agent_is_told_what_the_grant_says_to_do_instead(lab: Lab) -> None:
    """The model would try until it finds a way around, because nobody told it the way that is open."""
    no = {"effect": "deny", "tools": ["drop"], "reason": "we keep customers.", "instead": "archive the\ncustomer."}
    lab.policy(version=2, **grants({}, no))
    assert told(lab, "drop") == "we keep customers. Instead: archive the customer."


def test_a_refused_agent_is_told_within_what_bounds_it_may_call_the_tool(lab: Lab) -> None:
    """The model would have to guess the limit, one refused payment after the other."""
    small = {"tools": ["pay"], "when": {"arguments.eur": {"gt": 0, "lte": 500}}}
    ours = {"tools": ["pay"], "when": {"arguments.to": {"domain": ["ours.test", "x.test"]}, "reads": {"exists": True}}}
    lab.policy(version=2, **grants(small, {**ours, "effect": "allow"}))
    assert told(lab, "pay", eur=501, to="eve@evil.test") == (
        "no grant of layer org allows 'pay'. Allowed for pay: arguments.eur above 0 and at most 500 or "
        "arguments.to at ours.test, x.test, reads given."
    )


def test_a_refused_agent_is_told_which_tools_it_may_call(lab: Lab) -> None:
    """The model would give up on work that another tool may do."""
    lab.policy(version=2, **grants(*({"tools": [f"t{at}.*"]} for at in range(12))))
    said = told(lab, "shell")
    assert (
        said == "no grant of layer org allows 'shell'. Allowed tools: t0.*, t1.*, t2.*, t3.*, t4.*, t5.*, t6.*, t7.*."
    )


def test_a_spent_budget_is_no_reason_to_name_other_tools(lab: Lab) -> None:
    """The model would be sent to another tool that is refused in the same way."""
    lab.policy(version=2, **grants({}, budgets={"tool_calls": 0}))
    assert told(lab, "pay") == "the run's budget is spent: 0 of 0 tool_calls."


def test_a_refusal_is_one_line_of_bounded_length_whatever_the_policy_and_the_tool_say(lab: Lab) -> None:
    """A refusal would flood the model's context, or forge lines of a log."""
    long = {"effect": "deny", "tools": ["x*"], "reason": "no\n" * 150, "instead": "do\x1b[2J " * 60}
    lab.policy(version=2, **grants({}, long))
    assert told(lab, "x" * 500).endswith("….")
    with lab.agent.run() as run, pytest.raises(ToolDenied) as refused, run.tool("x\n\u202e"):
        pytest.fail("a refused call was made")
    assert str(refused.value).isprintable()
