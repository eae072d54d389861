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
