"""The link's thread: it rests while nobody answers, is woken when it sleeps, and outlives whatever goes wrong in it."""

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from lictor_agent import link as links
from lictor_agent.link import Link
from lictor_agent.parcels import Heard, Outgoing
from lictor_agent.settings import AgentSettings
from lictor_agent.spool import leftovers
from tests.unit.sdk.test_outbox import AGENT, record

NOBODY = AgentSettings(kafka="127.0.0.1:9", root_key=b"r" * 32, agent_key=b"a" * 32)
HEARD = Heard("t.commands", AGENT, b"{}", [], 0)


def ignore(_: Heard) -> None:
    """Hear, and do nothing."""


def of(folder: Path, hear: Callable[[Heard], None] = ignore) -> Link:
    """Return a link that is not started."""
    return Link(replace(NOBODY, spool=folder), AGENT, hear)


@contextmanager
def started(link: Link) -> Iterator[Link]:
    """Have its thread run."""
    link.start()
    try:
        yield link
    finally:
        link.stop(0)


def in_thread(link: Link) -> None:
    """Return once the link's thread has come round to something new."""
    done = threading.Event()
    assert link._tell(done.set)
    assert done.wait(10)


def test_without_a_broker_the_link_rests_between_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent whose Kafka is away would lose a whole processor to its trying, as soon as it has said anything."""
    monkeypatch.setattr(links, "RETRY_S", 600.0)
    monkeypatch.setattr("lictor_agent.listener.RETRY_S", 600.0)
    both = threading.Semaphore(0)
    link = of(tmp_path)
    real = Link._lost

    def lost(self: Link, side: str, error: BaseException) -> None:
        real(self, side, error)
        both.release()

    monkeypatch.setattr(Link, "_lost", lost)
    with started(link):
        for _ in range(2):  # the side that publishes, and the one that listens
            assert both.acquire(timeout=30)
        for number in range(50):
            link.publish(record(number))
            in_thread(link)
        assert link.counters["offline"] == 2


def test_a_record_before_the_thread_runs_does_not_keep_it_from_being_woken(tmp_path: Path) -> None:
    """Every call with effects of the whole process would wait a second for a loop that nobody wakes."""
    link = of(tmp_path)
    link.publish(replace(record(1), acked=concurrent.futures.Future()))
    assert not link._waking
    with started(link):
        link.publish(replace(record(2), acked=concurrent.futures.Future()))
        in_thread(link)
        assert not link._waking


def test_a_record_that_cannot_be_heard_does_not_silence_those_behind_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One odd record on the control topic, and the agent would never hear a stop again."""
    heard = []

    def hear(record: Heard) -> None:
        heard.append(record)
        if len(heard) < 3:
            raise LookupError("odd")

    link = of(tmp_path, hear)
    for _ in range(3):
        link._heard(HEARD)
    assert len(heard) == 3
    assert link.counters["link_failed"] == 2
    assert [line.message for line in caplog.records] == ["the link to Lictor failed and begins anew: LookupError: odd"]


def test_whatever_fails_in_the_thread_begins_anew_and_no_stack_trace_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody thought of would end publishing for the life of the process, and fill the agent's log."""
    monkeypatch.setattr(links, "RETRY_S", 0.01)
    tries, enough = [], threading.Event()

    async def fails(self: Link) -> None:
        tries.append(1)
        if len(tries) == 5:
            enough.set()
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(Link, "_producer", fails)
    with started(of(tmp_path)) as link:
        assert enough.wait(30)
        assert link._thread is not None
        assert link._thread.is_alive()
        link.publish(record(1))
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None
    (leftover,) = leftovers(tmp_path, AGENT)
    assert [found.value for found in leftover.records()] == [b"1"]
    leftover.release()


def test_an_outage_is_two_lines_one_when_it_begins_and_one_when_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A log full of the same line, or no line at all, while nothing an agent does is seen."""
    caplog.set_level(logging.INFO)
    link = of(tmp_path)
    link.ready.set()
    for side in ("publish", "listen"):
        link._found(side)
    assert link.online
    for _ in range(100):
        link._lost("publish", KafkaTimeoutError("no answer"))
        link._lost("listen", OSError("refused"))
        link._found("publish")  # a side that comes and goes is no end of it
    link._lost("publish", OSError("refused"))
    assert not link.online
    link._found("listen")
    link._found("publish")
    first, last = (line.message for line in caplog.records)
    assert first == "Lictor's Kafka at 127.0.0.1:9 cannot be reached: KafkaTimeoutError: no answer"
    assert last == "Lictor's Kafka at 127.0.0.1:9 is reached again"
    assert link.online


def test_at_a_start_without_a_broker_the_agent_alone_speaks_and_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same would be told twice in other words; or nobody be told that all is well again."""
    link = of(tmp_path)
    link._lost("publish", OSError("refused"))
    link._found("publish")
    assert caplog.records == [], "a moment at the start is nothing to speak of"
    monkeypatch.setattr(links, "SAID_S", -1.0)
    link._lost("publish", OSError("refused"))
    link._found("publish")
    assert [line.message for line in caplog.records] == ["Lictor's Kafka at 127.0.0.1:9 is reached again"]


class Broker:
    """As much of a producer as sending needs; refuses what it is told to."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.refuses: BaseException | None = None
        self.open: list[asyncio.Future[None]] = []

    async def partitions_for(self, _: str) -> set[int]:
        """Return the partitions of any topic."""
        return {0}

    async def send(self, _topic: str, value: bytes, **_: object) -> "asyncio.Future[None]":
        """Take a record; whoever waits for it is answered by `answer`."""
        if isinstance(self.refuses, KafkaTimeoutError):
            raise self.refuses
        self.got.append(int(value))
        self.open.append(asyncio.get_running_loop().create_future())
        return self.open[-1]


@pytest.mark.parametrize("error", [KafkaTimeoutError(), TopicAuthorizationFailedError("t.steps")])
def test_nothing_overtakes_what_the_broker_refused(tmp_path: Path, error: Exception) -> None:
    """Steps would reach Lictor in another order than they were taken, and look like a run that rewrites its past."""

    async def scenario() -> tuple[list[int], list[bool]]:
        link, broker = of(tmp_path), Broker()
        for number in range(3):
            link.publish(record(number))
        await send_all(link, broker, error)
        assert not link._flying
        assert [int(kept.value) for kept in link.outbox.failed] == list(range(len(link.outbox.failed)))
        if not isinstance(error, KafkaTimeoutError):
            assert not link._may_send(), "the broker would be asked again and again without a pause"
        link._hold_s, broker.refuses, broker.got = 0.0, None, []
        link.publish(record(3))
        agains = [bool(kept.again) for kept in link.outbox.failed]
        await send_all(link, broker, None)
        assert link.pending() == 0
        return broker.got, agains

    got, agains = asyncio.run(scenario())
    assert got == [0, 1, 2, 3]
    assert agains == ([False] if isinstance(error, KafkaTimeoutError) else [True] * 3)


async def send_all(link: Link, broker: Broker, error: Exception | None) -> None:
    """Send until the link would pause; answer everything, or refuse it."""
    broker.refuses = error
    while link._may_send() and (taken := link.outbox.take()) is not None:
        await link._send(broker, taken)  # type: ignore[arg-type] # as much of one as sending needs
        if isinstance(error, KafkaTimeoutError):
            return
    for future in reversed(broker.open):  # in whatever order they are answered
        if not future.done():
            future.set_result(None) if error is None else future.set_exception(error)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_what_is_under_way_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of large steps under way would take hundreds of megabytes from an agent."""
    monkeypatch.setattr(links, "MAX_FLYING_BYTES", 20_000)

    async def scenario() -> None:
        link, broker = of(tmp_path), Broker()
        for number in range(100):
            link.publish(record(number, size=4000))
        await send_all_unanswered(link, broker)
        assert 20_000 <= link._flying_bytes < 25_000
        assert sum(flying.size() for flying in link._flying.values()) == link._flying_bytes
        await send_all(link, broker, None)
        assert link._flying_bytes == sum(flying.size() for flying in link._flying.values())

    asyncio.run(scenario())


async def send_all_unanswered(link: Link, broker: Broker) -> None:
    """Send as much as may be under way at once."""
    while link._may_send() and (taken := link.outbox.take()) is not None:
        await link._send(broker, taken)  # type: ignore[arg-type] # as much of one as sending needs


def test_in_a_child_the_parents_link_lets_go_at_once(tmp_path: Path) -> None:
    """A worker that never uses the agent would keep its dead parent's steps locked for as long as it lives."""
    link = of(tmp_path)
    link.publish(record(1))
    link.on_disk(link.outbox.queue[0])
    to_child, go = os.pipe()
    from_child, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        link.after_fork()
        os.write(ready, b"!")
        os.read(to_child, 1)
        os._exit(0)
    os.close(to_child)
    assert os.read(from_child, 1) == b"!"
    assert not link.stop(0), "the parent ends, with something unsent"
    try:
        (leftover,) = leftovers(tmp_path, AGENT)
        assert [found.value for found in leftover.records()] == [b"1"]
        leftover.release()
    finally:
        for descriptor in (go, from_child, ready):
            os.close(descriptor)
        os.waitpid(pid, 0)


def test_what_waits_at_the_end_is_kept_and_told(tmp_path: Path) -> None:
    """Whoever closes an agent would believe that all was published."""
    link = of(tmp_path)
    sent: list[Outgoing] = [record(number) for number in range(3)]
    for each in sent:
        link.publish(each)
    assert link.pending() == 3
    assert link.stop(0) is False
    (leftover,) = leftovers(tmp_path, AGENT)
    assert [found.value for found in leftover.records()] == [each.value for each in sent]
    leftover.release()
