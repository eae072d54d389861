"""Secrets never leave the agent's process as they are, and what is no secret does."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.words import words
from lictor_agent import Run, secrets
from lictor_agent.policy import Content
from lictor_agent.redact import MARK, Redactor
from lictor_agent.wire import Cut
from tests.unit.sdk._agents import Lab
from tests.unit.strategies import examples, json_values

ALL = ("secrets", "payment", "personal")
KEY = b"k" * 32
HELD = {
    "aws_key": "AKIAIOSFODNN7EXAMPLE",
    "google_key": "AIza" + "B" * 35,
    "github_token": "ghp_" + "a1B2" * 9,
    "gitlab_token": "glpat-" + "x" * 20,
    "slack_token": "xoxb-123456789012-abcdefghij",
    "stripe_key": "sk_live_" + "4eC39HqLyjWDarjt",
    "model_key": "sk-ant-" + "api03-" + "z" * 30,
    "npm_token": "npm_" + "q" * 36,
    "pypi_token": "pypi-" + "A" * 60,
    "huggingface_token": "hf_" + "h" * 34,
    "sendgrid_key": "SG." + "s" * 22 + "." + "t" * 43,
    "twilio_key": "AC" + "0123456789abcdef" * 2,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----",
    "card": "4111 1111 1111 1111",
    "iban": "DE02 1203 0000 0000 2020 51",
    "phone": "+49 170 123 4567",
    "ssn": "078-05-1120",
}


def shown(text: Any, *, path: str = "text", traits: tuple[str, ...] = (), **content: Any) -> Any:
    """Return a body as it would be published, everything looked for."""
    said = Content(**{"rules": ALL, **content})
    return Redactor(said, KEY).body(path, text, frozenset(traits), {})


@pytest.mark.parametrize("kind", HELD)
def test_a_secret_is_hidden_wherever_it_stands(kind: str) -> None:
    """A key that an agent read would stand in topics, history and backups for years."""
    value = HELD[kind]
    for text in (value, f"use {value} for it", f'{{"x": "{value}"}}', f"\u200b{value}\u200b"):
        found = shown(text)
        assert value not in found, text
        assert f"{MARK}{kind}:" in found or f"{MARK}secret:" in found
    nested = json.dumps(shown({"a": [{"b": value}], value: 1}, path="arguments"))
    assert value not in nested


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abcdefghijklmnop.qrst", "abcdefghijklmnop.qrst"),
        ("postgres://bob:hunter22@db.example/x", "hunter22"),
        ("DB_PASSWORD=correct-horse-battery", "correct-horse-battery"),
        ('"client_secret": "s3cr3t-value-1"', "s3cr3t-value-1"),
        ("api_key: 0123456789abcdef", "0123456789abcdef"),
        ("date of birth: 1980-02-29", "1980-02-29"),
    ],
)
def test_what_is_named_a_secret_is_hidden(text: str, hidden: str) -> None:
    """A password that looks like a word would be published."""
    found = shown(text)
    assert hidden not in found
    assert MARK in found


@pytest.mark.parametrize(
    "text",
    [
        "The meeting is on 2026-11-23 at 10:30 in room 1234567890123.",
        "Order 4111 1111 1111 1112 has no valid check digit",
        "DE02120300000000202052 is no IBAN",
        "token budgets, secret santa and password rules are discussed",
        "To reset your password: https://example.com/reset",
        "version 1.2.3.4, commit 73d6b3f7fb3d2f0c1f, id 550e8400-e29b-41d4-a716-446655440000",
        "task-sk-1, ask_live_agent, eyJ, AKIA, +49",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    """An analyst would read holes where nothing secret was."""
    assert shown(text) == text


def test_the_same_secret_has_the_same_hash_and_another_agent_another() -> None:
    """Nobody could tell that what was read is what was sent; or anybody could try values against the hash."""
    first, again = shown("pay DE02 1203 0000 0000 2020 51"), shown("IBAN DE02120300000000202051.")
    token = first[first.index(MARK) :]
    assert token in again
    other = Redactor(Content(rules=ALL), b"x" * 32).body("text", HELD["iban"], frozenset(), {})
    assert other != token
    assert token.strip("[]") in words(first)
    assert token.strip("[]") in words(again), "detectors see one word"


def test_where_mail_goes_can_still_be_seen() -> None:
    """A detector could not tell a colleague from a stranger."""
    found = shown("to Eve.Smith@Evil.example")
    assert "Eve" not in found
    assert "evil.example" in words(found)
    assert shown("eve.smith@x.example").split("@")[0] == shown("EVE.SMITH@x.example").split("@")[0]


def test_values_of_secret_names_are_hidden_whole() -> None:
    """A password among the arguments would be published because it looks like nothing."""
    given = {
        "user": "bob",
        "password": "hi",
        "apiKey": "k",
        "Set-Cookie": "a=b",
        "pin": 1234,
        "max_tokens": 5,
        "ok": True,
    }
    found = shown(given, path="arguments")
    assert found["user"] == "bob"
    assert (found["max_tokens"], found["ok"]) == (5, True)
    assert all(str(found[name]).startswith(f"{MARK}secret:") for name in ("password", "apiKey", "Set-Cookie", "pin"))


def test_fields_and_traits_can_be_hidden_by_the_policy() -> None:
    """A customer's name is a secret that no rule can know."""
    fields = {"arguments.customer": "redacted", "arguments.body": "digest", "reasoning": "digest"}
    found = shown({"customer": "Jo", "body": "long story", "n": 1}, path="arguments", fields=fields)
    assert found["customer"].startswith(f"{MARK}field:")
    assert (found["body"], found["n"]) == ("", 1)
    assert shown("why", path="reasoning", fields=fields) == ""


def test_a_digest_says_how_long_and_which_and_that_it_is_meant() -> None:
    """What the policy hides would count as cut off, and every trace as tainted."""
    cuts: dict[str, Cut] = {}
    redactor = Redactor(Content(default="full", traits={"reads_sensitive": "digest"}), KEY)
    assert redactor.body("text", "rows", frozenset({"reads_sensitive"}), cuts) == ""
    assert (cuts["text"].length, cuts["text"].hidden) == (4, True)
    assert redactor.body("text", "rows", frozenset(), {}) == "rows"


def test_full_leaves_everything_as_it_is() -> None:
    """An owner who may see everything would not."""
    assert shown(HELD["iban"], default="full") == HELD["iban"]


@examples(300)
@given(json_values(8), st.sampled_from(["full", "redacted", "digest"]), st.sampled_from(["arguments", "text"]))
def test_no_value_makes_it_fail(value: Any, default: str, path: str) -> None:
    """An agent would fail because it is looked at."""
    fields = {"*.a": "redacted", "arguments[1]*": "digest"}
    once = shown(value, path=path, default=default, fields=fields)
    json.dumps(once)


@examples(100)
@given(st.text(max_size=200))
def test_what_was_hidden_once_stays_as_it_is(text: str) -> None:
    """A step that is spooled and read again would have another digest."""
    once = shown(text + " " + HELD["card"])
    assert shown(once) == once


def test_no_pattern_can_run_without_bound() -> None:
    """A hostile page could hold an agent up for minutes: each repetition in a pattern says how often at most."""
    patterns = [rule.pattern.pattern for rules in secrets.BY_NAME.values() for rule in rules]
    for pattern in patterns:
        outside = re.sub(r"\[[^\]]*\]|\\.", "x", pattern)
        assert "*" not in outside, pattern
        assert "+" not in outside, pattern


def failing(run: Run, secret: str) -> None:
    """Make a call that fails, with a secret in everything it says."""
    with run.tool("crm.read", **dict.fromkeys(["password"], "hunter2"), text=secret) as call:
        call.result({"rows": [secret]})
        raise ValueError(secret)


def test_what_an_agent_publishes_holds_no_secret(lab: Lab) -> None:
    """The rules would be there, and nobody use them."""
    lab.policy(version=2, content={"rules": list(ALL)})
    secret = HELD["github_token"]
    with lab.agent.run() as run:
        run.message(f"my token is {secret}")
        run.memory_write("m", secret)
        with run.model_call("m") as model:
            model.said(secret, reasoning=secret)
        with pytest.raises(ValueError, match="ghp"):
            failing(run, secret)
    published = b"".join(record.value for record in lab.published())
    assert secret.encode() not in published
    assert b"hunter2" not in published
    assert published.count(b"[redacted:github_token:") == 7


def test_the_gate_judges_what_is_asked_not_what_is_published(lab: Lab) -> None:
    """A condition on an account number could never hold."""
    grants = [{"id": "ours", "effect": "allow", "tools": ["pay"], "when": {"arguments.iban": {"glob": ["DE*"]}}}]
    lab.policy(version=2, layers=[{"name": "org", "grants": grants}])
    with lab.agent.run() as run, run.tool("pay", iban="DE02120300000000202051") as call:
        assert call.arguments == {"iban": "DE02120300000000202051"}
    (said,) = [step for step in lab.steps() if step.kind == "tool_call"]
    assert str((said.arguments or {})["iban"]).startswith("[redacted:iban:")
