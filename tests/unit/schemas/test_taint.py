"""What every worker must know of another's traces."""

from schemas.taint import Taint
from tests.unit.builders import refused


def test_a_taint_is_of_a_known_kind_and_expires() -> None:
    """The broadcast would grow until no worker can read it at its start."""
    assert refused(Taint, "taint", kind="mood").startswith("kind")
    assert refused(Taint, "taint", expires_us=None).startswith("expires_us")


def test_the_tools_of_a_run_are_bounded() -> None:
    """One run could declare so many tools that no worker holds them."""
    assert refused(Taint, "taint", tools={str(number): "" for number in range(2048)}) == ""
    assert refused(Taint, "taint", tools={str(number): "" for number in range(2049)}).startswith("tools")
