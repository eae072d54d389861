"""Every topic but checkpoints → ClickHouse, each record once. Its place in Kafka is kept in the store itself."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

from aiokafka import TopicPartition

from schemas.errors import BadRecord, StoreRefused, StoreUnavailable
from schemas.liveness import Liveness
from schemas.seal import AGAIN, Keyring
from storage.store import Store
from storage.tables import Origin, claims_unknown_key, repeat_row, rows_of, step_identity, table_of
from streams.records import Output, Record, plain, refused
from streams.stream import Stream
from streams.topics import Topics

log = logging.getLogger("lictor.archive")

T = TypeVar("T")
Placed = tuple[Origin, bytes | None]
"""Where a record stands, and its value."""

RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 10.0


class Archive(Stream):
    """One partition's batch goes to one table in one block. Without a store it waits at its offset.

    `ring` holds the key list in force: rows say who signed, by it alone. `keys_now` returns once the ring holds what
    was published until now: it is asked before a key counts as unknown, since a new key may sign at once.
    """

    name = "archive"
    keeps_state = False
    leased = False

    def __init__(
        self, topics: Topics, store: Store, instance: str, ring: Keyring, keys_now: Callable[[], Awaitable[None]]
    ) -> None:
        self.topics = topics
        self.instance = instance
        self.store = store
        self.ring = ring
        self.keys_now = keys_now
        self.inputs = topics.archived()
        self.counters: Counter[str] = Counter()

    async def resume(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask the store for the highest offset of each partition and go on after it."""
        wanted = list(places)
        offsets: dict[TopicPartition, int] = {}
        for topic in sorted({place.topic for place in wanted}):
            known = await self._patiently(self.store.next_offsets, table_of(topic), topic)
            for place in wanted:
                if place.topic == topic:
                    offsets[place] = known.get(place.partition, 0)
        return offsets

    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Write the batch, a block for each month it touches; return the dead letters of what could not be kept."""
        out: list[Output] = []
        for month in _by_month(records):
            refusals = await self._write(place, month)
            self.counters["refused"] += len(refusals)
            if refusals and place.topic == self.topics.dead_letters.name:
                log.error("%d dead letters of %s could not be kept: %s", len(refusals), place, list(refusals)[:10])
                continue
            out.extend(
                refused(self.topics.dead_letters, record, refusals[record.offset], "archive")
                for record in month
                if record.offset in refusals
            )
        return out

    def tick(self, lag: Mapping[TopicPartition, int]) -> Sequence[Output]:
        """Say that the archive is alive. Unsigned: its process serves SQL, holds no private key, decides nothing."""
        word = Liveness(
            component="archive",
            instance=self.instance,
            lag=sum(lag.values()),
            counters=dict(self.counters),
            time_us=int(time.time() * 1e6),
        )
        return [plain(self.topics.liveness, f"archive/{self.instance}", word)]

    async def _write(self, place: TopicPartition, records: Sequence[Record]) -> dict[int, BadRecord]:
        """Write records as one block; return what was refused, by offset."""
        table = table_of(place.topic)
        repeated = await self._repeated(records) if table == "steps" else {}
        await self._keep_repeats(place, repeated)
        kept = [r for r in records if (r.value is not None or table == "steps") and r.offset not in repeated]
        placed = [(_origin(record), record.value) for record in kept]
        if any(claims_unknown_key(origin, self.ring) for origin, _ in placed):
            await self.keys_now()
        rows, bad = await asyncio.to_thread(self._rows, table, placed)
        refusals = {origin.offset: error for origin, error in bad}
        offsets = [record.offset for record in kept if record.offset not in refusals]
        return refusals | await self._insert(place, table, offsets, rows)

    def _rows(self, table: str, placed: Sequence[Placed]) -> tuple[list[bytes], list[tuple[Origin, BadRecord]]]:
        """Return the rows of a batch and what was refused. Where Lictor itself fails, only the record at fault is refused.

        Otherwise the worker would end, and its successor meet the same record.
        """
        try:
            return rows_of(table, placed, self.ring)
        except Exception:  # noqa: BLE001 - told below, of the record it belongs to
            rows: list[bytes] = []
            bad: list[tuple[Origin, BadRecord]] = []
            for one in placed:
                made, refused_one = self._row(table, one)
                rows.extend(made)
                bad.extend(refused_one)
            return rows, bad

    def _row(self, table: str, one: Placed) -> tuple[list[bytes], list[tuple[Origin, BadRecord]]]:
        origin = one[0]
        try:
            return rows_of(table, [one], self.ring)
        except Exception as error:
            self.counters["failed"] += 1
            log.exception("cannot make a row of %s[%d] offset %d", origin.topic, origin.partition, origin.offset)
            return [], [(origin, BadRecord("failed", f"Lictor failed on it: {type(error).__name__}"))]

    async def _repeated(self, records: Sequence[Record]) -> dict[int, tuple[Record, str]]:
        """Return the steps that say they may have been published before and are in the history, or earlier in this batch.

        Only these are looked up: an agent that repeats itself without saying so is kept as often as it does.
        """
        marked = [record for record in records if any(name == AGAIN for name, _ in record.headers)]
        if not marked:
            return {}
        identities: dict[int, tuple[str, str]] = {}
        for record in records:
            with contextlib.suppress(Exception):  # what fails here fails again as a row, and is refused there
                identities[record.offset] = step_identity(record.value)
        asked = [identities[record.offset][0] for record in marked if record.offset in identities]
        seen = await self._patiently(self.store.known_steps, asked) if asked else set()
        repeated: dict[int, tuple[Record, str]] = {}
        again = {record.offset for record in marked}
        for record in records:
            identity = identities.get(record.offset)
            if identity is not None and record.offset in again and identity in seen:
                repeated[record.offset] = (record, identity[0])
            elif identity is not None:
                seen.add(identity)
        return repeated

    async def _keep_repeats(self, place: TopicPartition, repeated: dict[int, tuple[Record, str]]) -> None:
        """Note the repeats, so that the ledger still adds up."""
        if repeated:
            rows = [repeat_row(_origin(record), step_id) for record, step_id in repeated.values()]
            token = f"repeats:{place.topic}:{place.partition}:{min(repeated)}-{max(repeated)}"
            await self._patiently(self.store.insert, "repeats", rows, token)
            self.counters["repeats"] += len(rows)

    async def _insert(
        self, place: TopicPartition, table: str, offsets: Sequence[int], rows: Sequence[bytes]
    ) -> dict[int, BadRecord]:
        """Insert rows; where the store rejects the data, halve the batch until the row at fault stands alone."""
        if not rows:
            return {}
        token = f"{place.topic}:{place.partition}:{offsets[0]}-{offsets[-1]}"
        try:
            await self._patiently(self.store.insert, table, rows, token)
        except StoreRefused as error:
            if len(rows) == 1:
                return {offsets[0]: BadRecord("store_refused", str(error)[:400])}
            middle = len(rows) // 2
            first = await self._insert(place, table, offsets[:middle], rows[:middle])
            return first | await self._insert(place, table, offsets[middle:], rows[middle:])
        self.counters[table] += len(rows)
        return {}

    async def _patiently(self, call: Callable[..., T], *arguments: object) -> T:
        """Call the store, off the loop, until it is there."""
        wait_s = RETRY_FIRST_S
        while True:
            try:
                return await asyncio.to_thread(call, *arguments)
            except StoreUnavailable as error:
                self.counters["store_unavailable"] += 1
                log.warning("%s; trying again in %.1f s", error, wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(RETRY_MOST_S, wait_s * 2)


def _origin(record: Record) -> Origin:
    key = (record.key or b"").decode("utf-8", "replace")
    return Origin(record.topic, record.partition, record.offset, record.timestamp, key, tuple(record.headers))


def _by_month(records: Sequence[Record]) -> list[Sequence[Record]]:
    """Cut a batch where Kafka's time enters another month: the tables are partitioned by it, and a block is one part."""
    if not records or _month(records[0].timestamp) == _month(records[-1].timestamp):
        return [records]
    return [list(group) for _, group in itertools.groupby(records, key=lambda record: _month(record.timestamp))]


def _month(time_ms: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(time_ms / 1000, tz=UTC)
    return moment.year, moment.month
