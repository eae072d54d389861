"""What became of a command."""

import pytest

from schemas.receipt import Receipt
from tests.unit.builders import a_receipt, refused


@pytest.mark.parametrize(("field", "value"), [("layer", "agent"), ("status", "done"), ("command_id", None)])
def test_a_receipt_comes_from_a_known_layer_about_a_known_order(field: str, value: object) -> None:
    """A stop could be closed by a word that no layer gives."""
    assert refused(Receipt, "receipt", **{field: value}).startswith(field)


def test_the_list_of_running_calls_is_bounded() -> None:
    """A stopped agent could fill the topic with one receipt."""
    assert refused(Receipt, "receipt", running=["x"] * 256) == ""
    assert refused(Receipt, "receipt", running=["x"] * 257).startswith("running")


def test_no_exit_status_is_not_the_same_as_zero() -> None:
    """A process that was never reaped would count as ended."""
    assert a_receipt("c").exit_status is None
    assert Receipt.read(a_receipt("c", exit_status=0).value()).exit_status == 0
