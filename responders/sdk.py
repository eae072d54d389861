"""The first rung: the SDK in the agent's own process obeys."""

from typing import ClassVar, Literal

from responders.base import Proof, Reach, Responder
from schemas.command import RUN_BOUND, Command, CommandAction
from schemas.receipt import Layer, Receipt


class AgentSdk(Responder):
    """Milliseconds, and only as honest as the process it runs in: enforcement level `cooperative`."""

    layer: ClassVar[Layer] = "sdk"
    handles: ClassVar[frozenset[CommandAction]] = frozenset({"stop", "pause", "resume", "clearance", "deny"})
    reach: ClassVar[Reach] = "run"
    needs: ClassVar[str] = "The agent uses lictor-agent and can reach the control topic."
    undone_by: ClassVar[dict[CommandAction, CommandAction | Literal["restart"]]] = {
        "pause": "resume",
        "stop": "restart",
    }

    def refuse(self, command: Command) -> str | None:
        """Refuse what binds to a run and names none."""
        if command.action not in self.handles:
            return f"the SDK does not carry out {command.action}"
        if command.action in RUN_BOUND and not command.target.run_id:
            return f"{command.action} binds to a run, and the command names none"
        return None

    def proof(self, receipt: Receipt) -> Proof:
        """An agent's own word is a claim."""
        return "claimed" if receipt.layer == self.layer and receipt.status == "effective" else ""
