"""The agent's heartbeat: as often as the policy says, every run that lives says so."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lictor_agent.agent import Agent


class Heart:
    """A thread of its own, so that an agent whose loop hangs is still seen to be there; begun with the first run."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to beat, if it does not beat yet."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._beat, name="lictor-heart", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self._agent.heartbeat_s()):
            for run in self._agent.runs():
                run.beat()
