"""The whole set of orders standing against one agent."""

from schemas.containment import Containment
from tests.unit.builders import example, refused


def test_a_set_is_bounded() -> None:
    """An agent would have to keep whatever it is sent."""
    order = example("containment")["orders"][0]
    assert refused(Containment, "containment", orders=[order] * 256) == ""
    assert refused(Containment, "containment", orders=[order] * 257).startswith("orders")


def test_an_empty_set_is_a_message_of_its_own() -> None:
    """Nothing could ever be lifted."""
    assert refused(Containment, "containment", orders=[], epoch=4) == ""


def test_a_set_without_an_epoch_is_refused() -> None:
    """An old set could not be told from the present one."""
    assert refused(Containment, "containment", epoch=None).startswith("epoch")
    assert refused(Containment, "containment", epoch=-1).startswith("epoch")


def test_an_order_keeps_the_id_of_its_command() -> None:
    """An agent would carry out the same order twice: from the topic and from the set."""
    bare = {name: value for name, value in example("containment")["orders"][0].items() if name != "command_id"}
    assert refused(Containment, "containment", orders=[bare]).startswith("orders.0.command_id")
