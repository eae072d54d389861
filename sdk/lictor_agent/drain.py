"""Sends what dead agents left on disk: at the next start, by the supervisor, or by hand with `lictor-agent drain DIR`."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from lictor_agent.errors import LictorAgentError
from lictor_agent.listener import partition_of, stopped
from lictor_agent.seal import AGAIN
from lictor_agent.settings import AgentSettings
from lictor_agent.spool import Leftover, Spooled, folder_of, leftovers, leftovers_in, untrusted

log = logging.getLogger("lictor_agent")

AT_ONCE: Final = 500
CONNECT_S: Final = 10.0
SILENT_S: Final = 30.0
"""How long a drain by hand, or by a supervisor, waits for a broker that has stopped to answer."""


@dataclass(slots=True)
class Drained:
    """What became of what was found: links of processes that had left something, records sent, records that were damaged."""

    processes: int = 0
    sent: int = 0
    damaged: int = 0
    left: int = 0
    """Processes whose records could not all be sent; they stay where they are."""
    refused: int = 0
    """Folders that are not used, since they are somebody else's or others may write them."""


def drain(folder: Path, settings: AgentSettings, agent_id: str | None = None) -> Drained:
    """Send what dead processes left below a spool folder: of one agent, or of all. What living ones hold is left alone.

    `folder` is the root of spools, or one agent's folder in it. Several may drain at once: each file is sent by one. A folder
    among those of many agents that is not its user's own is passed over and counted. Raises `LictorAgentError` where the one
    that was asked for is, where there is none, or where the broker cannot be reached.
    """
    try:
        folders = [each for each in _folders(folder, agent_id) if each.is_dir()]
        for each in (folder, *(folders if agent_id is not None else ())):
            if why := untrusted(each):
                raise LictorAgentError(why)
    except OSError as error:
        raise LictorAgentError(f"{folder} cannot be read: {error.strerror}") from None
    return asyncio.run(_drained(folders, settings))


def _folders(folder: Path, agent_id: str | None) -> list[Path]:
    """Return the folders of agents to look into."""
    if not folder.is_dir():
        raise LictorAgentError(f"{folder} is no folder")
    if agent_id is not None:
        return [folder_of(folder, agent_id)]
    if next(folder.glob("*.spool"), None) is not None:
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir())


async def _drained(folders: Iterable[Path], settings: AgentSettings) -> Drained:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        acks="all",
        enable_idempotence=True,
        max_request_size=4 << 20,
        **settings.kafka_client,
    )
    try:
        await asyncio.wait_for(producer.start(), CONNECT_S)
    except (KafkaError, OSError, TimeoutError) as error:
        await stopped(producer)
        raise LictorAgentError(f"Kafka at {settings.kafka} cannot be reached: {str(error) or 'no answer'}") from None
    found = Drained()
    try:
        for folder in folders:
            await _one_folder(producer, folder, found)
    finally:
        await stopped(producer)
    return found


async def _one_folder(producer: AIOKafkaProducer, folder: Path, found: Drained) -> None:
    """Send what is left in one agent's folder, and count it."""
    try:
        if why := untrusted(folder):
            log.warning("%s; what stands in it is not sent", why)
            found.refused += 1
            return
        for leftover in leftovers_in(folder):
            found.processes += 1
            counters: Counter[str] = Counter()
            found.left += not await _send(producer, leftover, counters, SILENT_S)
            found.sent += counters["drained"]
            found.damaged += leftover.damaged
    except OSError as error:
        log.warning("%s cannot be read: %s", folder, error.strerror)
        found.refused += 1


async def drain_into(producer: AIOKafkaProducer, folder: Path, agent_id: str, counters: Counter[str]) -> None:
    """Send what dead processes of an agent left on this machine, through a producer that is there. Waits for the broker."""
    try:
        for leftover in leftovers(folder, agent_id):
            await _send(producer, leftover, counters, None)
            if leftover.damaged:
                counters["damaged"] += leftover.damaged
                log.warning("%d records that an earlier process left were damaged and are lost", leftover.damaged)
    except OSError as error:
        log.warning("what earlier processes left in %s cannot be read: %s", folder, error.strerror)


async def _send(producer: AIOKafkaProducer, leftover: Leftover, counters: Counter[str], silent_s: float | None) -> bool:
    """Send one process's records, in order; tell whether all of them are acknowledged."""
    batch: list[Spooled] = []
    try:
        for record in leftover.records():
            batch.append(record)
            if len(batch) >= AT_ONCE:
                await asyncio.wait_for(_send_all(producer, batch, counters), silent_s)
                batch = []
        await asyncio.wait_for(_send_all(producer, batch, counters), silent_s)
        leftover.done()
    except (KafkaError, OSError) as error:  # a TimeoutError is one
        log.warning("the spool of an earlier process was not sent whole: %s", str(error) or "no answer")
        return False
    finally:
        leftover.release()
    return True


async def _send_all(producer: AIOKafkaProducer, records: list[Spooled], counters: Counter[str]) -> None:
    sending = []
    for record in records:
        partition = partition_of(record.key, len(await producer.partitions_for(record.topic)))
        headers = [(name, value) for name, value in record.headers if name != AGAIN]
        sending.append(
            await producer.send(
                record.topic,
                record.value,
                key=record.key.encode(),
                partition=partition,
                headers=[*headers, (AGAIN, b"1")],
            )
        )
    await asyncio.gather(*sending)
    counters["drained"] += len(records)
