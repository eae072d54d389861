"""docs/reference/opentelemetry.md names every field and kind of a step, and no attribute that does not exist."""

import re
from pathlib import Path

import pytest

from schemas.step import KINDS, Gate, Origin, Step

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "opentelemetry.md").read_text(encoding="utf-8")
CONVENTIONS = frozenset(
    {
        "error.type",
        "deployment.environment.name",
        "gen_ai.agent.id",
        "gen_ai.agent.name",
        "gen_ai.agent.version",
        "gen_ai.conversation.id",
        "gen_ai.input.messages",
        "gen_ai.memory.record.id",
        "gen_ai.operation.name",
        "gen_ai.output.messages",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.id",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "gen_ai.tool.name",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.workflow.name",
    }
)
"""Of the GenAI conventions, the names this page uses."""
OPERATIONS = frozenset({"chat", "execute_tool", "invoke_agent", "search_memory", "upsert_memory", "none"})
SPANS = frozenset({"the span's trace id", "the span's or event's time", "the span's duration"})


def table(title: str) -> dict[str, list[str]]:
    """Return a table of the page: first column → the others."""
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    names = [row[0].strip().strip("`") for row in rows]
    assert len(names) == len(set(names)), "a row stands twice"
    return {name: [cell.strip() for cell in row[1:]] for name, row in zip(names, rows, strict=True)}


def test_every_field_of_a_step_has_its_attribute() -> None:
    """Somebody who maps their spans to steps must find every field, or what it says is lost on the way."""
    assert set(table("Fields")) == set(Step.__struct_fields__)


def test_every_kind_of_step_has_its_operation() -> None:
    """A kind without an operation cannot be told from others in anybody's tracing."""
    kinds = table("Kinds")
    assert set(kinds) == KINDS
    assert {row[0].strip("`") for row in kinds.values()} <= OPERATIONS


@pytest.mark.parametrize("field", Step.__struct_fields__)
def test_an_attribute_is_one_of_the_conventions_or_says_that_it_is_ours(field: str) -> None:
    """A name invented under `gen_ai.` would be read as something else by every other tool."""
    attribute = table("Fields")[field][0]
    name = attribute.strip("`")
    assert attribute in SPANS or name in CONVENTIONS or name.startswith("lictor."), attribute


def test_no_name_of_the_conventions_is_misspelt_anywhere_on_the_page() -> None:
    """A misspelt attribute is one that no tool finds."""
    assert set(re.findall(r"gen_ai(?:\.[a-z_]+)+", PAGE)) <= CONVENTIONS


def test_the_parts_of_gate_and_origin_are_listed() -> None:
    """The gate's answer is the part that nobody else records: each of its fields must be findable."""
    fields = table("Fields")
    assert set(re.findall(r"`(\w+)`", fields["gate"][1])) == set(Gate.__struct_fields__)
    assert set(re.findall(r"`(\w+)`", fields["origin"][1])) == set(Origin.__args__)
