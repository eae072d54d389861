"""What an agent is told while its connection is away is heard when it is back."""

import asyncio
import threading
from collections.abc import Callable

from lictor_agent.listener import Listener
from lictor_agent.parcels import Heard
from streams.records import Output
from tests.flow.world import PATIENCE_S, World


class Ear:
    """Listens in a thread; its connection breaks at the record that says so, until it may connect again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ready = threading.Event()
        self.broken = threading.Event()
        self.may_connect = threading.Event()
        self.heard: list[bytes] = []
        self.changed = threading.Condition()
        self.listener = Listener(world.agent_settings("bot"), "bot", self.hear, self.ready, self.lost, lambda _: None)
        self.thread = threading.Thread(target=asyncio.run, args=(self.listen(),), daemon=True)

    async def listen(self) -> None:
        """Listen until the last word."""
        listening = asyncio.create_task(self.listener.run())
        await asyncio.to_thread(self.await_said, b"last")
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    def hear(self, record: Heard) -> None:
        """Take note of a command."""
        if record.topic != self.world.topics.commands.name:
            return
        with self.changed:
            self.heard.append(record.value)
            self.changed.notify_all()
        if record.value == b"break":
            raise OSError("the connection breaks")

    def lost(self, _: str, __: BaseException) -> None:
        """Stay away until told."""
        self.broken.set()
        assert self.may_connect.wait(PATIENCE_S)

    def await_said(self, value: bytes) -> None:
        """Wait until something was heard."""
        with self.changed:
            assert self.changed.wait_for(lambda: value in self.heard, PATIENCE_S)

    def say(self, *values: bytes) -> None:
        """Say something to the agent."""
        name = self.world.topics.commands.name
        self.world.publish(*(Output(name, "bot", value, []) for value in values))


def test_an_order_given_while_the_connection_is_away_is_heard(make_world: Callable[..., World]) -> None:
    """A stop would be lost because it came in the second in which the agent connected anew."""
    ear = Ear(make_world())
    ear.say(b"before the start")
    ear.thread.start()
    assert ear.ready.wait(PATIENCE_S)
    ear.say(b"first", b"break")
    assert ear.broken.wait(PATIENCE_S)
    ear.say(b"stop")
    ear.may_connect.set()
    ear.await_said(b"stop")
    ear.say(b"last")
    ear.thread.join(PATIENCE_S)
    assert ear.heard == [b"first", b"break", b"stop", b"last"], "each once, and nothing from before the start"
