"""The written examples that Lictor and the agent's SDK are both held to.

One line is one example: `say` tells what it shows. A gate and a detector that answer differently would let a call
through and then stop the agent for it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from detectors.traits import traits_of
from lictor.policy_file import words
from lictor_agent import globs as sdk_globs
from lictor_agent import seal as sdk_seal
from lictor_agent import traits as sdk_traits
from lictor_agent import wire
from schemas import ids, seal
from schemas.errors import BadSeal
from schemas.globs import glob_match
from schemas.keys import KEY_LIST
from schemas.step import content
from tests.contract.sides import delegators_of, detect_answer, gate_answer, policy_of
from tests.unit.builders import (
    NOW,
    POLICIES,
    a_private_key,
    a_signer,
    a_step,
    an_entry,
    keyring_of,
    signed_list,
)

HERE = Path(__file__).parent


def lines(name: str) -> list[Any]:
    """Return the examples of one file, each under the name of what it shows."""
    rows = [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").split("\n") if line]
    assert len({row["say"] for row in rows}) == len(rows), f"{name}.jsonl: two examples say the same"
    return [pytest.param(row, id=row["say"].encode("ascii", "replace").decode()) for row in rows]


@pytest.mark.parametrize("row", lines("ids"))
def test_ids_are_the_same_on_both_sides(row: dict[str, Any]) -> None:
    """Every step of every agent would be refused."""
    ours, theirs = {
        "step": (ids.step_id, wire.step_id),
        "name": (ids.named, wire.named),
        "key": (lambda public: seal.key_id_of(bytes.fromhex(public)), lambda k: sdk_seal.key_id_of(bytes.fromhex(k))),
    }[row["of"]]
    assert ours(*row["parts"]) == theirs(*row["parts"]) == row["id"]  # type: ignore[operator]


@pytest.mark.parametrize("row", lines("globs"))
def test_globs_mean_the_same_on_both_sides(row: dict[str, Any]) -> None:
    """A grant would cover a tool at the gate and not in the judgement of it."""
    assert glob_match(row["pattern"], row["text"]) is row["fits"]
    assert sdk_globs.match(row["pattern"], row["text"]) is row["fits"]


@pytest.mark.parametrize("row", lines("traits"))
def test_tools_are_of_the_same_kind_on_both_sides(row: dict[str, Any]) -> None:
    """The gate would run a call at once that `detect` was to clear first."""
    by_glob = {glob: tuple(traits) for glob, traits in row.get("globs", {}).items()}
    assert sorted(traits_of(row["tool"], by_glob, words())) == row["traits"]
    assert sorted(sdk_traits.of_tool(row["tool"], by_glob, words())) == row["traits"]


@pytest.mark.parametrize("row", lines("digest"))
def test_what_a_step_says_has_the_same_digest_on_both_sides(row: dict[str, Any]) -> None:
    """No clearance would fit the call it was given for."""
    said = {name: row[name] for name in row.keys() - {"say", "kind", "canonical", "digest"}}
    step = a_step(row["kind"], **said)
    assert ids.canonical(content(step)) == row["canonical"].encode()
    assert ids.content_digest(content(step)) == row["digest"]
    assert wire.content_digest(row["kind"], said) == row["digest"]


@pytest.mark.parametrize("row", lines("grants"))
def test_the_policy_answers_the_same_on_both_sides(row: dict[str, Any]) -> None:
    """An agent would be stopped for a call that its own gate allowed."""
    expected = (row["effect"], row["grant"], row["rule"], ids.canonical(row.get("rewritten")))
    answers = [of(policy_of(row), row["call"], row["reads"], delegators_of(row)) for of in (detect_answer, gate_answer)]
    for answer in answers:
        found = (answer.effect, answer.grant, answer.rule, ids.canonical(answer.arguments))
        assert found == expected, type(answer).__module__
    assert answers[0].reason == answers[1].reason


BYTES = [row for row in lines("seal") if row.values[0]["of"] in ("bytes", "mark", "signature")]
CHECKS = [row for row in lines("seal") if row.values[0]["of"] == "check"]


@pytest.mark.parametrize("row", BYTES)
def test_marks_and_signatures_are_the_same_bytes_on_both_sides(row: dict[str, Any]) -> None:
    """No step would count as the agent's own, and no order be obeyed."""
    topic, key, kind, text = row["record"]
    record = (topic, key, kind, text.encode())
    if row["of"] == "bytes":
        found = [seal.sealed_bytes(*record), sdk_seal.sealed_bytes(*record)]
    elif row["of"] == "mark":
        found = [seal.mark(bytes.fromhex(row["agent_key"]), *record)]
        found.append(sdk_seal.mark(bytes.fromhex(row["agent_key"]), *record))
    else:
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(row["private"]))
        signer = seal.Signer(seal.key_id_of(seal.public_bytes(private)), private)
        assert sdk_seal.sign(private, *record) == signer.seal(*record)
        found = [seal.header(signer.seal(*record), seal.SIGNATURE) or b""]
    assert {each.hex() for each in found} == {row["hex"]}


def sent(row: dict[str, Any]) -> tuple[str, str, str, list[tuple[str, bytes]], bytes]:
    """Return the record of an example as it arrives: topic, key, type, headers, value."""
    place = {"topic": "lictor.commands", "key": "invoice-bot", "value": '{"v":1}'}
    headers = a_signer("signer").seal(place["topic"], place["key"], row.get("signed_as", row["kind"]), b'{"v":1}')
    headers = [item for item in headers if item[0] != row.get("drop")]
    headers += [item for item in headers if item[0] == row.get("double")]
    if changed := row.get("changed"):
        place[changed] += "x"
    return place["topic"], place["key"], row["kind"], headers, place["value"].encode()


@pytest.mark.parametrize("row", CHECKS)
def test_the_same_signatures_are_believed_on_both_sides(row: dict[str, Any]) -> None:
    """Lictor would refuse an order that agents obey, or agents one that Lictor gave."""
    more = {name: row[name] for name in ("revoked", "expires_us") if name in row}
    entry = an_entry("signer", row["role"], may=tuple(row.get("may", ())), **more)
    entries = (entry,) if row.get("listed", True) else ()
    assert ours(row, *entries) == theirs(row, *entries) == row["answer"]


def ours(row: dict[str, Any], *entries: Any) -> str:
    """Return what Lictor's keyring says of the record."""
    try:
        keyring_of(*entries).check(*sent(row), NOW)
    except BadSeal as error:
        return error.kind
    return "ok"


def theirs(row: dict[str, Any], *entries: Any) -> str:
    """Return what the SDK's keyring says of the record."""
    ring = sdk_seal.Keyring(seal.public_bytes(a_private_key("root")))
    ring.load(POLICIES, KEY_LIST, *signed_list(*entries))
    try:
        ring.check(*sent(row), NOW)
    except sdk_seal.Refused as refused:
        return str(refused.args[0])
    return "ok"
