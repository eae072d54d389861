"""Publish an AI agent's steps to Lictor, ask its gate before tools run, and obey what it orders.

    agent = lictor_agent.connect("invoice-bot", version="1.4", owner="finance@example.com", tools=["mail.send"])
    with agent.run(principal="alice@example.com") as run:
        run.message("Send the reminder", origin="user")
        with run.tool("mail.send", to="bob@example.org") as call:
            call.result(send(...))

`ToolDenied` says that the gate refused a call; tell it to the model. `AgentStopped` says that the run was stopped; it
is no `Exception`, so let it pass. This package imports nothing of Lictor's server side.
"""

from lictor_agent import mcp
from lictor_agent.agent import Agent, connect
from lictor_agent.calls import Call, ModelCall
from lictor_agent.context import current_run
from lictor_agent.errors import AgentStopped, BadConfiguration, LictorAgentError, ToolDenied
from lictor_agent.obedience import Stop
from lictor_agent.run import Run
from lictor_agent.settings import AgentSettings
from lictor_agent.tools import tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentSettings",
    "AgentStopped",
    "BadConfiguration",
    "Call",
    "LictorAgentError",
    "ModelCall",
    "Run",
    "Stop",
    "ToolDenied",
    "connect",
    "current_run",
    "mcp",
    "tool",
]
