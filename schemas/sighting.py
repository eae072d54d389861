"""The first time, per worker and hour, that an agent is seen using something."""

from typing import ClassVar, Literal

from schemas.message import Message, Micros, ShortText


class Sighting(Message):
    """An agent used a tool, model, resource, … Sightings repeat: readers take the earliest."""

    type: ClassVar[str] = "sighting"

    agent_id: str
    run_id: str = ""
    kind: Literal["agent", "tool", "model", "resource", "label", "principal", "peer", "version"]
    name: ShortText
    step_id: str
    append_time_us: Micros
