"""A signed order."""

from typing import get_args

import pytest

from schemas.command import RUN_BOUND, Command, CommandAction
from tests.unit.builders import refused


@pytest.mark.parametrize("action", get_args(CommandAction))
def test_every_order_can_be_given(action: str) -> None:
    """An order of the ladder could not be sent."""
    assert refused(Command, "command", action=action) == ""


@pytest.mark.parametrize("action", ["", "STOP", "explode", "observe", "ask"])
def test_what_is_no_order_is_refused(action: str) -> None:
    """An agent would have to guess what is meant."""
    assert refused(Command, "command", action=action).startswith("action")


@pytest.mark.parametrize("field", ["command_id", "target", "epoch", "issued_us", "expires_us", "reason"])
def test_an_order_needs_target_epoch_expiry_and_reason(field: str) -> None:
    """An order without an end or an epoch could be replayed for ever."""
    assert refused(Command, "command", **{field: None}).startswith(field)


def test_orders_that_end_or_hold_a_run_never_bind_a_later_one() -> None:
    """An agent that was stopped once could not be started again."""
    assert {"stop", "pause", "resume"} == RUN_BOUND
