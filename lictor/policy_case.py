"""One test inside a policy file: what a call must be told."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.message import ShortText

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Verdict = Literal["allow", "deny", "ask", "hold", "narrow"]


class Strict(BaseModel):
    """A part of the file: a misspelt key is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class When(Strict):
    """The moment of the call, UTC."""

    hour: int | None = Field(default=None, ge=0, le=23)
    weekday: Weekday | None = None


class Case(Strict):
    """One call and what the gate must say to it. What a case leaves out of the circumstances is missing for conditions."""

    say: ShortText
    agent: str
    tool: str | None = None
    model: str | None = None
    to_agent: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    reads: tuple[Literal["untrusted", "sensitive"], ...] = ()
    labels: tuple[str, ...] = ()
    principal: str = ""
    workflow: str = ""
    version: str = ""
    environment: str = ""
    delegation: tuple[str, ...] = ()
    spent: dict[Literal["steps", "tool_calls", "model_calls", "tokens", "cost_usd"], float] = Field(
        default_factory=dict
    )
    amounts: dict[str, float] = Field(default_factory=dict)
    time: When = When()
    expect: Verdict
    grant: str | None = None
    """Which grant must have said so; "" for none."""

    @model_validator(mode="after")
    def _one_call(self) -> Self:
        if sum(name is not None for name in (self.tool, self.model, self.to_agent)) != 1:
            raise ValueError("a test is about tool, model or to_agent, and only one of these")
        return self
