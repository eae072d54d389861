"""`lictor policy explain`: what the gate says to one call, and why."""

import json
from pathlib import Path

import pytest

from tests.unit.lictor._verbs import run

EXAMPLE = str(Path(__file__).resolve().parents[3] / "docs" / "examples" / "policy.yml")


@pytest.mark.parametrize(
    ("amount_eur", "told"),
    [(5, "hold: grant pay-small says allow (grant pay-small, mode enforce"), (501, "deny: no grant of layer")],
)
def test_a_call_is_told_its_answer_and_who_gave_it(amount_eur: int, told: str) -> None:
    """A developer would learn only in production what is refused."""
    call = ("invoices", "payments.create", json.dumps({"amount_eur": amount_eur}))
    ran = run("policy", "explain", *call, "--file", EXAMPLE)
    assert ran.out.startswith(told)
    assert "traits of payments.create: " in ran.out
    assert "spends" in json.loads(run("policy", "explain", *call, "--file", EXAMPLE, "--json").out)["traits"]


@pytest.mark.parametrize("arguments", ["{", "[]", "5", "[" * 100_000])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    """A slip in the quoting would end in a stack trace, or explain another call than was meant."""
    ran = run("policy", "explain", "invoices", "payments.create", arguments, "--file", EXAMPLE)
    assert ran.code == 2
    assert "must be a JSON object" in ran.err


def test_an_agent_is_explained_in_sentences() -> None:
    """Nobody but its author could tell what a policy lets an agent do."""
    ran = run("policy", "explain", "invoices", "--file", EXAMPLE)
    lines = ran.out.splitlines()
    assert lines[1] == "does alone:"
    waits = lines.index("does once `detect` has cleared it:")
    assert lines[waits + 1].startswith("  tools payments.create where arguments.amount_eur above 0 and at most 500")
    assert "mode enforce, policy version 1" in lines
    said = json.loads(run("policy", "explain", "invoices", "--file", EXAMPLE, "--json").out)
    assert list(said["does"]) == ["does alone", "does once `detect` has cleared it"]
    assert "every tool is refused" in run("policy", "explain", "stranger", "--file", EXAMPLE).out


def test_a_refusal_is_explained_with_what_the_model_is_told() -> None:
    """A developer would not know what his model reads when it is refused."""
    told = run("policy", "explain", "invoices", "payments.create", '{"amount_eur": 501}', "--file", EXAMPLE).out
    assert "the model is told: refused by Lictor (no_grant, policy version 1)" in told
    assert "at most 500" in told
    assert "(by the words of its name: payments, create)" in told
