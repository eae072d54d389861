"""ACT: what is decided about a finding, and the ladder that carries it out, one rung a file.

`autonomy.py`, `clearance.py`, `limits.py` and `casebook.py` are pure: the same findings, policy and times give the same
orders. `base.py` says what a rung is; `sdk.py` and `supervisor.py` are the first two. May import: schemas.
"""

from typing import Final

from responders.base import Responder
from responders.sdk import AgentSdk
from responders.supervisor import Supervisor

LADDER: Final[tuple[Responder, ...]] = (AgentSdk(), Supervisor())
"""Mildest rung first; the stream climbs it when a rung does not hold."""
