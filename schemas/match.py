"""A building block of judgement that spans traces: what `detect` saw in one trace, for `respond` to add up."""

from typing import ClassVar

from schemas.message import Message, Micros, ShortText


class Match(Message):
    """One rule's partial match, or one amount of a budget, in one trace. Signed by `detect`."""

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
    amount: float = 1.0
    append_time_us: Micros = 0
