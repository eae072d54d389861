"""The second rung: `lictor-agent run` ends the process group and reaps it."""

from typing import ClassVar, Literal

from responders.base import Proof, Reach, Responder
from schemas.command import Command, CommandAction
from schemas.receipt import Layer, Receipt


class Supervisor(Responder):
    """SIGTERM, then SIGKILL to the whole process group; the exit status is the proof: enforcement level `process`."""

    layer: ClassVar[Layer] = "supervisor"
    handles: ClassVar[frozenset[CommandAction]] = frozenset({"stop"})
    reach: ClassVar[Reach] = "process"
    needs: ClassVar[str] = "The agent was started by `lictor-agent run -- CMD…` with a supervisor key on the key list."
    undone_by: ClassVar[dict[CommandAction, CommandAction | Literal["restart"]]] = {"stop": "restart"}

    def refuse(self, command: Command) -> str | None:
        """Refuse anything but a stop of one run."""
        if command.action not in self.handles:
            return f"the supervisor does not carry out {command.action}"
        return None if command.target.run_id else "stop binds to a run, and the command names none"

    def proof(self, receipt: Receipt) -> Proof:
        """The exit status of a process that was reaped is proof."""
        reaped = receipt.layer == self.layer and receipt.status == "effective" and receipt.exit_status is not None
        return "proven" if reaped else ""
