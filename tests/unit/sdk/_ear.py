"""An agent's control with the key list in force and one run that listens."""

from dataclasses import dataclass, field
from pathlib import Path

from lictor_agent.control import Control
from lictor_agent.orders import Ordered
from tests.unit.sdk._agents import Lab, heard
from tests.unit.streams._builders import Read, World


@dataclass
class Listener:
    """A run, as far as orders go."""

    run_id: str = "run-1"
    told: list[tuple[str, str]] = field(default_factory=list)

    def obey(self, order: Ordered) -> None:
        """Take note of the order."""
        self.told.append((order.action, order.command_id))


@dataclass
class Ear:
    """A control that knows the key list, with one run."""

    world: World = field(default_factory=World)
    run: Listener = field(default_factory=Listener)
    lab: Lab = field(init=False)
    control: Control = field(init=False)

    def __post_init__(self) -> None:
        self.lab = Lab(Path(), self.world)
        self.control = self.lab.agent.control
        self.control.hear(heard(self.world.key_record()))
        self.control.add(self.run)

    def tell(self, record: Read) -> dict[str, int]:
        """Hand a record over; return what was counted since the start."""
        self.control.hear(heard(record))
        return dict(self.control.counters)
