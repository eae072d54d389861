"""What a rung of the ladder is: what it carries out, how far it reaches, what undoes it, and what its word is worth."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from schemas.command import Command, CommandAction
from schemas.receipt import Layer, Receipt

Reach = Literal["run", "process", "agent", "principal"]
Proof = Literal["", "claimed", "proven"]
"""`claimed`: the agent says so itself. `proven`: somebody who does not share the agent's process says so."""


class Responder(ABC):
    """One rung. It hears the same signed command as the others and answers with receipts of its own layer."""

    layer: ClassVar[Layer]
    handles: ClassVar[frozenset[CommandAction]]
    reach: ClassVar[Reach]
    needs: ClassVar[str]
    """What must be in place for this rung to hold, in a sentence."""
    undone_by: ClassVar[dict[CommandAction, CommandAction | Literal["restart"]]]

    @abstractmethod
    def refuse(self, command: Command) -> str | None:
        """Return why this rung would not carry out the command, or None."""

    @abstractmethod
    def proof(self, receipt: Receipt) -> Proof:
        """Return what this rung's receipt is worth as proof that the order took effect."""
