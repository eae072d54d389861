"""The store keeps each batch once, whichever way it is sent again, and tells bad rows from a store that is away."""

from pathlib import Path

import pytest

from schemas.errors import StoreRefused, StoreUnavailable
from storage.store import MIGRATIONS, Store, is_about_data, shown_dsn, statements, wait_until_open
from storage.tables import ROWERS, rows_of
from tests.unit.storage._rows import origin, stored_steps

AGENT = "store-agent"


def step_rows(namespace: str, first_offset: int = 0) -> list[bytes]:
    """Return the rows of three steps, as archived from a topic of its own."""
    places = [origin("steps", first_offset + i, namespace=namespace) for i in range(3)]
    return rows_of("steps", zip(places, stored_steps(AGENT), strict=True))[0]


def count(store: Store, namespace: str) -> int:
    """Return how many steps of a namespace the store holds."""
    found = store.rows("SELECT count() FROM steps WHERE kafka_topic = {t:String}", {"t": f"{namespace}.steps"})
    return int(found[0][0])


def test_migrations_are_applied_once(store: Store) -> None:
    """A second start of Lictor on the same folder would fail, or make its tables anew."""
    assert store.migrate() == []
    names = [str(row[0]) for row in store.rows("SELECT name FROM migrations ORDER BY name")]
    assert names == sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


def test_every_table_of_the_map_exists_after_the_migrations(store: Store) -> None:
    """The archive would stand still at the first record of a topic whose table is missing."""
    found = {str(row[0]) for row in store.rows("SELECT name FROM system.tables WHERE database = 'lictor'")}
    assert set(ROWERS) <= found


def test_every_table_says_where_its_rows_come_from(store: Store) -> None:
    """Nobody could hold the history against Kafka, and a restarted archive would not know where to go on."""
    rows = store.rows("SELECT table, groupArray(name) FROM system.columns WHERE database = 'lictor' GROUP BY table")
    columns = {str(table): set(names) for table, names in rows}
    for table in ROWERS:
        assert {"kafka_topic", "kafka_partition", "kafka_offset", "kafka_time"} <= columns[table]


def test_the_same_batch_under_the_same_token_is_kept_once(store: Store) -> None:
    """A broken connection after a write would double every step of that batch."""
    for _ in range(3):
        store.insert("steps", step_rows("once"), "once:0:0-2")
    assert count(store, "once") == 3


def test_another_token_is_another_batch(store: Store) -> None:
    """Two batches that look alike would be taken for one, and steps would be lost."""
    store.insert("steps", step_rows("two"), "two:0:0-2")
    store.insert("steps", step_rows("two", 3), "two:0:3-5")
    assert count(store, "two") == 6


def test_the_next_offset_follows_the_highest_kept(store: Store) -> None:
    """A restarted archive would begin too early or, worse, too late."""
    assert store.next_offsets("steps", "next.steps") == {}
    store.insert("steps", step_rows("next", 40), "next:0:40-42")
    assert store.next_offsets("steps", "next.steps") == {0: 43}


def test_a_row_with_a_wrong_value_is_refused_as_data_and_nothing_of_its_batch_is_kept(store: Store) -> None:
    """One bad row would hold up the archive for ever, or half a batch would be kept and then doubled."""
    rows = [*step_rows("bad"), step_rows("bad", 3)[0].replace(b'"seq":1,', b'"seq":"one",')]
    with pytest.raises(StoreRefused, match="cannot write 4 rows to steps"):
        store.insert("steps", rows, "bad:0:0-3")
    assert count(store, "bad") == 0


def test_a_query_that_fails_means_that_the_store_is_unavailable(store: Store) -> None:
    """A caller that waits for the store to come back would instead see a stack trace of the driver."""
    with pytest.raises(StoreUnavailable, match="cannot query the history"):
        store.rows("SELECT no_such_column FROM steps")


def test_a_table_that_is_missing_is_not_taken_for_bad_data(store: Store) -> None:
    """Honest records would go to dead letters because somebody forgot a migration."""
    with pytest.raises(StoreUnavailable):
        store.insert("no_such_table", [b'{"x":1}'], "t")


def test_values_are_read_back_as_they_were_kept(store: Store) -> None:
    """An analyst would see other arguments than the agent used."""
    store.insert("steps", step_rows("back"), "back:0:0-2")
    found = store.rows(
        "SELECT agent_id, seq, text, arguments, toUnixTimestamp64Milli(kafka_time) FROM steps "
        "WHERE kafka_topic = 'back.steps' ORDER BY seq"
    )
    assert found[0] == (AGENT, 1, "Send the reminder", "", 1_767_225_600_123)
    assert found[1][3] == '{"to":"bob@example.org"}'


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("", []),
        ("-- only a comment\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;\n\n  -- why; because\nSELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' AS x\nFROM t;\n", ["SELECT ';' AS x\nFROM t"]),
        ("CREATE TABLE t\n(\n  a Int8 -- a; b\n)\n;\n", ["CREATE TABLE t\n(\n  a Int8 -- a; b\n)"]),
    ],
)
def test_a_migration_is_split_at_semicolons_that_end_a_line(sql: str, parts: list[str]) -> None:
    """A migration would be cut in the middle of a statement, and the history could not be opened."""
    assert [part.rstrip("; \n") for part in statements(sql)] == parts


def test_every_statement_of_our_migrations_makes_one_thing() -> None:
    """A migration that is not split would leave all but its first table out."""
    for path in MIGRATIONS.glob("*.sql"):
        parts = statements(path.read_text(encoding="utf-8"))
        assert parts
        assert all(part.startswith(("CREATE ", "ALTER TABLE ")) and part.count("IF NOT EXISTS") == 1 for part in parts)


@pytest.mark.parametrize(
    ("message", "about_data"),
    [
        ("Code: 27. DB::Exception: Cannot parse input", True),
        ("Code: 117. DB::Exception: Unknown field", True),
        ("Code: 70. DB::Exception: Conversion overflow", True),
        ("Code: 241. DB::Exception: Memory limit", False),
        ("Code: 243. DB::Exception: Not enough space", False),
        ("Code: 60. DB::Exception: Unknown table", False),
        ("Connection refused", False),
        ("an agent wrote Code: 27 without a full stop", False),
        ("", False),
    ],
)
def test_only_complaints_about_rows_count_as_data(message: str, about_data: object) -> None:
    """A full disk would send every step to dead letters, or a bad row would be tried for ever."""
    assert is_about_data(message) is about_data


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("clickhouse://me:secret@host:8123/lictor", "clickhouse://…@host:8123/lictor"),
        ("clickhouse://me:se@cret@host:8123/", "clickhouse://…@host:8123/"),
        ("clickhouse://host:8123/", "clickhouse://host:8123/"),
        ("chdb:///data/history", "chdb:///data/history"),
    ],
)
def test_a_dsn_is_shown_without_its_password(dsn: str, shown: str) -> None:
    """The database's password would stand in a terminal, a log, a bug report."""
    assert shown_dsn(dsn) == shown
    assert "cret" not in shown_dsn(dsn)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    """A user would read a stack trace with the password in it instead of what to do."""
    with pytest.raises(StoreUnavailable) as unavailable:
        wait_until_open("clickhouse://me:secret@127.0.0.1:9/lictor", timeout_s=0)
    assert "127.0.0.1:9" in str(unavailable.value)
    assert "secret" not in str(unavailable.value)


def test_a_second_folder_in_one_process_is_refused_in_words(store: Store, tmp_path: Path) -> None:
    """Two histories in one process would mix, or end it without a word."""
    with pytest.raises(StoreUnavailable, match="cannot open the history"):
        Store(f"chdb://{tmp_path}")
    assert store.rows("SELECT 1") == [(1,)]
