"""What is known of one agent."""

import pytest

from schemas.inventory import Inventory
from tests.unit.builders import refused


@pytest.mark.parametrize(("field", "most"), [("versions", 64), ("models", 64), ("tools", 512), ("principals", 512)])
def test_what_an_agent_was_seen_to_use_is_bounded(field: str, most: int) -> None:
    """An agent that invents names would grow its entry until nobody can read it."""
    assert refused(Inventory, "inventory", **{field: ["x"] * most}) == ""
    assert refused(Inventory, "inventory", **{field: ["x"] * (most + 1)}).startswith(field)


def test_an_agent_nobody_vouches_for_counts_as_unprotected() -> None:
    """An unprotected agent would be shown as safe."""
    defaults = {name: Inventory.model_fields[name].default for name in ("registered", "mode", "enforcement")}
    assert defaults == {"registered": False, "mode": "observe", "enforcement": "none"}
    assert refused(Inventory, "inventory", enforcement="total").startswith("enforcement")
