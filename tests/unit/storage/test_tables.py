"""Each kind of message lands in its own table, field by field, as it was published."""

import json
import time
from typing import Any

import pytest

from lictor_agent.orders import Receipt as AgentReceipt
from lictor_agent.orders import encode_receipt
from schemas.keys import KEY_LIST, Key, KeyList
from schemas.message import Message
from schemas.policy import AgentPolicy
from schemas.rules import RuleBook
from schemas.seal import KEY_ID
from schemas.step import encode_step
from storage.store import Store
from storage.tables import ROWERS, Origin, rows_of, table_of
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


def archived(store: Store, table: str, name: str, value: bytes, key: str = AGENT) -> dict[str, Any]:
    """Archive one record of a topic of its own; return its row, by column."""
    place = Origin(f"{name}.{table.replace('_', '-')}", 3, 17, TIME_MS, key, ((KEY_ID, b"signer-1"),))
    rows, refused = rows_of(table, [(place, value)])
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


@pytest.mark.parametrize("table", ["commands", "receipts", "verdicts", "audit"])
def test_the_key_that_signed_an_order_is_kept(store: Store, table: str) -> None:
    """Nobody could say afterwards whose key ordered an agent to stop."""
    assert archived(store, table, "signed", MESSAGES[table].value())["signed_by"] == "signer-1"


@pytest.mark.parametrize("name", BODIES)
def test_policies_keys_and_rules_are_kept_whole(store: Store, name: str) -> None:
    """Nobody could say which policy was in force when a call was refused."""
    table, key, message = BODIES[name]
    row = archived(store, table, f"body-{name}", message.value(), key)
    assert row["body"] == message.value().decode()
    assert (row["kafka_key"], row["version"], row["signed_by"]) == (key, message.version, "signer-1")  # type: ignore[attr-defined]


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
