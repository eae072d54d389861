"""What every `detect` worker must know of another's traces: tainted records, and each run's declared tools."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros, ShortText


class Taint(Message):
    """Compacted and expiring. `kind` says what `name` is; `tools` is set on a run's declaration. Signed by `detect`."""

    type: ClassVar[str] = "taint"

    kind: Literal["memory", "file", "artefact", "run"]
    name: ShortText
    agent_id: str
    run_id: str = ""
    trace_id: str = ""
    step_id: str = ""
    reason: ShortText = ""
    tools: dict[str, str] = Field(default_factory=dict, max_length=2048)
    """Declared tool → digest of its definition, for `kind="run"`."""
    time_us: Micros
    expires_us: Micros
