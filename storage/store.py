"""The store: one ClickHouse, embedded or a server, with its migrations applied and batches written once."""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import StoreRefused, StoreUnavailable

MIGRATIONS: Final = Path(__file__).parent / "migrations"
DATABASE: Final = "lictor"

_WRITE: Final = {
    "input_format_skip_unknown_fields": 1,
    "input_format_json_read_objects_as_strings": 1,
    "input_format_json_read_arrays_as_strings": 1,
    "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
    "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
    # One batch, one block, one part: it is there whole or not at all.
    "input_format_parallel_parsing": 0,
    "max_insert_block_size": 1_000_000,
    "insert_deduplicate": 1,
    "async_insert": 0,
}


# Engine error codes that speak of the rows, not of the store: parse errors, wrong types, values out of range.
_ABOUT_DATA: Final = frozenset({6, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 407, 645, 646})


class Store:
    """Owns the connection that writes. `dsn`: `chdb:///folder` or `clickhouse://user:password@host:port/database`.

    Not for other people's SQL: see `guard.py`. Calls may come from any thread; they run one at a time.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._lock = threading.Lock()
        try:
            self.client: Client = clickhouse_connect.get_client(dsn=dsn)
            self.client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
            self.client.database = DATABASE
        except (ClickHouseError, OSError, RuntimeError) as error:
            raise StoreUnavailable(f"cannot open the history: {error}", where=shown_dsn(dsn)) from None

    def migrate(self) -> list[str]:
        """Apply the migrations that are not in yet, in order; return their names."""
        with self._lock:
            self.client.command(
                "CREATE TABLE IF NOT EXISTS migrations (name String, applied DateTime DEFAULT now()) "
                "ENGINE = MergeTree ORDER BY name"
            )
            known = {str(row[0]) for row in self.client.query("SELECT name FROM migrations").result_rows}
            fresh = [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.stem not in known]
            for path in fresh:
                for statement in statements(path.read_text(encoding="utf-8")):
                    self.client.command(statement)
                self.client.insert("migrations", [[path.stem]], column_names=["name"])
        return [path.stem for path in fresh]

    def insert(self, table: str, rows: Sequence[bytes], token: str) -> None:
        """Insert one batch as one block. The same batch under the same token is inserted once."""
        try:
            with self._lock:
                self.client.raw_insert(
                    table,
                    insert_block=b"\n".join(rows),
                    fmt="JSONEachRow",
                    settings={**_WRITE, "insert_deduplication_token": token},
                )
        except (ClickHouseError, OSError, RuntimeError) as error:
            message = f"cannot write {len(rows)} rows to {table}: {error}"
            raise (StoreRefused if is_about_data(str(error)) else StoreUnavailable)(message) from None

    def next_offsets(self, table: str, topic: str) -> dict[int, int]:
        """Return, per Kafka partition, the offset after the last one the table holds."""
        rows = self.rows(
            f"SELECT kafka_partition, max(kafka_offset) + 1 FROM {table} "  # noqa: S608 - a table of ours
            "WHERE kafka_topic = {topic:String} GROUP BY kafka_partition",
            {"topic": topic},
        )
        return {int(row[0]): int(row[1]) for row in rows}

    def known_steps(self, step_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Return which of these steps the history holds, as (step_id, value_digest)."""
        sql = "SELECT DISTINCT step_id, value_digest FROM steps WHERE step_id IN {ids:Array(String)}"
        return {(_text(row[0]), _text(row[1])) for row in self.rows(sql, {"ids": list(step_ids)})}

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one of our own queries."""
        try:
            with self._lock:
                return [tuple(row) for row in self.client.query(sql, parameters=dict(parameters or {})).result_rows]
        except (ClickHouseError, OSError, RuntimeError) as error:
            raise StoreUnavailable(f"cannot query the history: {error}") from None

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


def _text(value: str | bytes) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def is_about_data(message: str) -> bool:
    """Tell whether the engine rejected the rows themselves, so that trying again cannot help."""
    found = re.search(r"Code: (\d+)\.", message)
    return found is not None and int(found[1]) in _ABOUT_DATA


def statements(sql: str) -> list[str]:
    """Split a migration at semicolons that end a line; comments go."""
    lines = [line for line in sql.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip(" \n;")]


def shown_dsn(dsn: str) -> str:
    """Return the dsn without its password."""
    scheme, _, rest = dsn.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else dsn


def wait_until_open(dsn: str, timeout_s: float) -> Store:
    """Open the store, retrying until the timeout: a server may start later than we do."""
    ends = time.monotonic() + timeout_s
    while True:
        try:
            return Store(dsn)
        except StoreUnavailable:
            if time.monotonic() > ends:
                raise
            time.sleep(0.5)
