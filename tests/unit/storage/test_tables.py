"""Each kind of message lands in its own table, field by field, as it was published."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor_agent.orders import Receipt as AgentReceipt
from lictor_agent.orders import encode_receipt
from schemas.command import Command
from schemas.keys import KEY_LIST, Key, KeyList
from schemas.message import Message
from schemas.policy import AgentPolicy
from schemas.rules import RuleBook
from schemas.seal import KEY_ID, Keyring, Signer, key_id_of, public_bytes
from schemas.step import encode_step
from storage.store import Store
from storage.tables import ROWERS, SIGNED, Origin, claims_unknown_key, rows_of, table_of
from streams.topics import Topics
from tests.unit.storage._examples import AGENT, MESSAGES, step

TIME_MS = int(time.time()) * 1000 + 789
"""Of today: the store forgets liveness after a week."""
POLICY = AgentPolicy(agent_id=AGENT, version=5, issued_us=1, mode="enforce", owner='it\'s "mine"')
RULES = RuleBook(version=6, issued_us=1)
KEYS = KeyList(version=7, issued_us=1, keys=(Key(key_id="k", role="detect", public="ab" * 32),))
BODIES: dict[str, tuple[str, str, Message]] = {
    "policies": ("policies", AGENT, POLICY),
    "keys": ("policies", KEY_LIST, KEYS),
    "rules": ("rules", "book", RULES),
}


SIGNERS = {
    role: Signer(key_id_of(public_bytes(private)), private)
    for role in ("detect", "respond", "audit", "supervisor", "person")
    if (private := Ed25519PrivateKey.generate())
}
ROOT = Ed25519PrivateKey.generate()


def ring() -> Keyring:
    """Return the keys in force: one a role, and a person with every right."""
    found = Keyring(public_bytes(ROOT))
    may = ("policy", "stop", "pause", "verdict", "approve")
    keys = [
        Key.model_validate(
            {
                "key_id": signer.key_id,
                "role": role,
                "public": public_bytes(signer.private).hex(),
                "may": may if role == "person" else (),
            }
        )
        for role, signer in SIGNERS.items()
    ]
    value = KeyList(version=1, issued_us=1, keys=tuple(keys)).value()
    found.load("p", KEY_LIST, Signer("root", ROOT).seal("p", KEY_LIST, KeyList.type, value), value)
    return found


RING = ring()


def archived(
    store: Store,
    table: str,
    name: str,
    value: bytes,
    key: str = AGENT,
    *,
    signer: Signer | None = None,
    kind: str = "",
) -> dict[str, Any]:
    """Archive one record of a topic of its own; return its row, by column."""
    topic = f"{name}.{table.replace('_', '-')}"
    headers = () if signer is None else tuple(signer.seal(topic, key, kind, value))
    place = Origin(topic, 3, 17, TIME_MS, key, headers)
    rows, refused = rows_of(table, [(place, value)], RING)
    assert not refused
    store.insert(table, rows, f"{place.topic}:17")
    found = store.rows(f"SELECT * FROM {table} WHERE kafka_topic = {{t:String}}", {"t": place.topic})  # noqa: S608
    assert len(found) == 1
    return dict(zip(columns(store, table), found[0], strict=True))


def columns(store: Store, table: str) -> list[str]:
    """Return a table's columns, in order."""
    sql = "SELECT name FROM system.columns WHERE database = 'lictor' AND table = {t:String} ORDER BY position"
    return [str(row[0]) for row in store.rows(sql, {"t": table})]


def plain(stored: Any, published: Any) -> Any:
    """Return a stored value in the form in which it was published: JSON columns are read, bytes decoded."""
    if isinstance(stored, bytes):
        stored = stored.decode()
    if isinstance(published, dict | list) and isinstance(stored, str):
        return json.loads(stored)
    if isinstance(published, dict) and isinstance(stored, tuple):
        return dict(zip(published, stored, strict=True))
    return list(stored) if isinstance(stored, tuple) else stored


@pytest.mark.parametrize("table", MESSAGES)
def test_a_message_is_read_back_field_by_field(store: Store, table: str) -> None:
    """An investigator would look at values that nobody published, or miss a field for ever."""
    published = json.loads(MESSAGES[table].value())
    row = archived(store, table, "example", MESSAGES[table].value())
    assert {name: plain(row[name], published[name]) for name in published} == published


def test_a_step_is_read_back_field_by_field(store: Store) -> None:
    """The history of what an agent did would differ from what it did."""
    value = encode_step(step())
    published = json.loads(value)
    row = archived(store, "steps", "example", value)
    assert {name: plain(row[name], published[name]) for name in published} == published
    assert set(published) == set(step().__struct_fields__)


def test_there_is_an_example_for_every_table() -> None:
    """A table without an example could lose fields and nobody would notice."""
    assert {"steps", "policies", "rules", *MESSAGES} == set(ROWERS)


@pytest.mark.parametrize("table", MESSAGES)
def test_an_example_leaves_no_field_at_its_default(table: str) -> None:
    """A column that is missing would look as if it held the default."""
    message = MESSAGES[table]
    unset = set(type(message).model_fields) - message.model_fields_set - {"v"}
    assert unset == set()


@pytest.mark.parametrize("table", ["steps", *MESSAGES])
def test_a_row_says_where_in_kafka_it_stands(store: Store, table: str) -> None:
    """An auditor could not hold the history against the broker's log."""
    value = encode_step(step()) if table == "steps" else MESSAGES[table].value()
    row = archived(store, table, "place", value)
    assert (row["kafka_partition"], row["kafka_offset"]) == (3, 17)
    assert int(row["kafka_time"].timestamp() * 1000) == TIME_MS


@pytest.mark.parametrize(
    ("table", "role"),
    [("commands", "respond"), ("receipts", "supervisor"), ("verdicts", "person"), ("audit", "audit")],
)
def test_the_key_that_signed_an_order_is_kept(store: Store, table: str, role: str) -> None:
    """Nobody could say afterwards whose key ordered an agent to stop."""
    message = MESSAGES[table]
    row = archived(store, table, "signed", message.value(), signer=SIGNERS[role], kind=message.type)
    assert row["signed_by"] == SIGNERS[role].key_id
    wrong = archived(store, table, "wrong-role", message.value(), signer=SIGNERS["detect"], kind=message.type)
    assert wrong["signed_by"] == ""


def test_a_clearance_is_signed_as_one(store: Store) -> None:
    """Nobody could say which detector let a call through, or an order could pass as signed by a detector."""
    clearance = Command.model_validate(json.loads(MESSAGES["commands"].value()) | {"action": "clearance"})
    detect = SIGNERS["detect"]
    row = archived(store, "commands", "clearance", clearance.value(), signer=detect, kind="clearance")
    assert row["signed_by"] == detect.key_id
    order = archived(store, "commands", "no-clearance", MESSAGES["commands"].value(), signer=detect, kind="clearance")
    assert order["signed_by"] == ""


def test_every_table_that_says_who_signed_is_checked(store: Store) -> None:
    """A column that nobody fills, or that repeats what a header claims, would be taken for proof."""
    tables = {table for table in ROWERS if "signed_by" in columns(store, table)}
    assert tables == SIGNED


def test_what_a_header_claims_is_not_who_signed() -> None:
    """A stranger could write under a colleague's name, or make the archive wait for keys that never come."""
    place = Origin("t.commands", 0, 1, TIME_MS, AGENT, ((KEY_ID, SIGNERS["respond"].key_id.encode()),))
    rows, _ = rows_of("commands", [(place, MESSAGES["commands"].value())], RING)
    assert json.loads(rows[0])["signed_by"] == ""
    assert not claims_unknown_key(place, RING)
    strange = ((KEY_ID, b"stranger"),)
    assert claims_unknown_key(replace(place, headers=strange), RING)
    assert not claims_unknown_key(replace(place, topic="t.findings", headers=strange), RING)


@pytest.mark.parametrize("name", BODIES)
def test_policies_keys_and_rules_are_kept_whole(store: Store, name: str) -> None:
    """Nobody could say which policy was in force when a call was refused."""
    table, key, message = BODIES[name]
    signer = Signer("root", ROOT) if name == "keys" else SIGNERS["person"]
    row = archived(store, table, f"body-{name}", message.value(), key, signer=signer, kind=message.type)
    assert row["body"] == message.value().decode()
    assert (row["kafka_key"], row["version"], row["signed_by"]) == (key, message.version, signer.key_id)  # type: ignore[attr-defined]
    forged = archived(store, table, f"forged-{name}", message.value(), key, signer=SIGNERS["detect"], kind=message.type)
    assert forged["signed_by"] == ""


def test_a_receipt_of_the_sdk_is_kept_too(store: Store) -> None:
    """What the agent itself answered to an order would be missing from the proof."""
    receipt = AgentReceipt(receipt_id="r", command_id="c", agent_id=AGENT, layer="sdk", status="effective", time_us=1)
    row = archived(store, "receipts", "sdk", encode_receipt(receipt))
    assert (row["layer"], row["status"], row["exit_status"], row["since_step_us"]) == ("sdk", "effective", None, None)


def test_fields_of_a_later_version_do_not_disturb(store: Store) -> None:
    """After a partial upgrade the archive would refuse what newer parts publish."""
    value = MESSAGES["sightings"].value()[:-1] + b',"later":{"a":[1]}}'
    assert archived(store, "sightings", "later", value)["name"] == "mail.send"


@pytest.mark.parametrize("table", ROWERS)
@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{}", b'{"v":2}', b"\xff", b"[" * 5000])
def test_what_is_no_message_is_refused_and_the_rest_of_its_batch_is_kept(table: str, value: bytes) -> None:
    """One bad record would stop the archive, or take its neighbours with it."""
    good = {"steps": encode_step(step()), "policies": POLICY.value(), "rules": RULES.value()}
    topic = f"x.{table}"
    batch = [
        (Origin(topic, 0, 0, TIME_MS, AGENT, ()), value),
        (Origin(topic, 0, 1, TIME_MS, AGENT, ()), good.get(table) or MESSAGES[table].value()),
    ]
    rows, refused = rows_of(table, batch)
    assert len(rows) == 1
    assert [place.offset for place, _ in refused] == [0]
    assert refused[0][1].kind


def test_a_topic_finds_its_table() -> None:
    """A topic whose name has a dash or a dotted namespace would have no table."""
    assert table_of("lictor.dead-letters") == "dead_letters"
    assert table_of("team.eu.steps") == "steps"
    assert {table_of(topic.name) for topic in Topics("a.b").archived()} == set(ROWERS)
