"""After a fork: the child has its parent's agents and runs in memory, but not the threads that served them.

In the child every agent gets a link, a control and locks of its own at its next use, and every run that was open becomes
a run of its own, with the parent's as its `parent_run_id`. Prefork servers may therefore connect before they fork.
"""

import os
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from lictor_agent.agent import Agent

_agents: Final["WeakSet[Agent]"] = WeakSet()


def remember(agent: "Agent") -> None:
    """Have an agent told when its process was forked."""
    _agents.add(agent)


def _in_child() -> None:
    for agent in list(_agents):
        agent.forked()


os.register_at_fork(after_in_child=_in_child)
