"""Asking the history over ClickHouse's own protocol: the embedded endpoint or a server, the same way."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from lictor.settings import Settings
from schemas.errors import BadInput, StoreUnavailable
from storage.store import DATABASE, shown_dsn
from storage.tables import table_of
from streams.topics import Topic


class History:
    """A connection for reading. `where`: `host:port` of an endpoint, or a dsn. Use as a context manager."""

    def __init__(self, where: str) -> None:
        try:
            if "://" in where:
                self.client = clickhouse_connect.get_client(dsn=where, database=DATABASE)
            else:
                host, _, port = where.rpartition(":")
                self.client = clickhouse_connect.get_client(host=host, port=int(port))
        except (ClickHouseError, OSError, ValueError) as error:
            raise StoreUnavailable(f"the history does not answer: {error}", where=shown_dsn(where)) from None

    @classmethod
    def of(cls, settings: Settings) -> "History":
        """Connect to the history of these settings. Raises `StoreUnavailable` with what to do."""
        where = settings.clickhouse or str(settings.running().get("sql", ""))
        if not where:
            raise StoreUnavailable(
                "no history is being served: `lictor up` serves it, or set LICTOR_CLICKHOUSE to a server"
            )
        return cls(where)

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return column names and rows. Raises `BadInput` with the engine's own words."""
        try:
            result = self.client.query(sql, parameters=parameters)
        except ClickHouseError as error:
            raise BadInput(str(error).split(" (for url ")[0]) from None
        except OSError as error:
            raise StoreUnavailable(f"the history does not answer: {error}") from None
        return list(result.column_names), [tuple(row) for row in result.result_rows]

    def number(self, sql: str, parameters: dict[str, Any] | None = None) -> int:
        """Return the one number a query comes to."""
        return int(self.rows(sql, parameters)[1][0][0])

    def archived(self, topics: Sequence[Topic]) -> dict[str, int]:
        """Return, per topic, how many of its records are in the history."""
        counts = " UNION ALL ".join(
            f"SELECT '{topic.name}' AS topic, count() AS n FROM {table_of(topic.name)}"  # noqa: S608 - names of ours
            for topic in topics
        )
        return {str(row[0]): int(row[1]) for row in self.rows(counts)[1]}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
