"""A building block of judgement that spans traces: what `detect` saw in one trace, for `respond` to add up."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.finding import Identity, Mode
from schemas.message import Message, Micros, ShortText


class Match(Message):
    """One firing of a rule that others build on, or one amount of a budget, in one trace. Signed by `detect`."""

    type: ClassVar[str] = "match"

    match_id: str
    rule_id: str
    rule_version: int = 1
    agent_id: str
    run_id: str
    trace_id: str = ""
    step_id: str
    scope: ShortText
    group: tuple[str, ...] = ()
    amount: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    seq: int = 0
    judged_us: int = 0
    """The step's own time, clamped: what windows are measured by."""
    values: dict[str, tuple[str | float, ...]] = Field(default_factory=dict, max_length=32)
    """Field → its values in this step, as far as correlations ask for them."""
    identity: Identity = "marked"
    mode: Mode = "enforce"
    drill: bool = False
    append_time_us: Micros = 0
