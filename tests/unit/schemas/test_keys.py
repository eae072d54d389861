"""Who may sign what."""

import pytest

from schemas.keys import KeyList
from tests.unit.builders import example, refused


@pytest.mark.parametrize("public", ["", "ab", "g" * 64, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_a_public_key_is_64_hex_digits(public: str) -> None:
    """One misprint would keep every worker from taking the list."""
    entry = {**example("keys")["keys"][0], "public": public}
    assert refused(KeyList, "keys", keys=[entry]).startswith("keys.0.public")


def test_a_role_nobody_knows_is_refused() -> None:
    """A misspelt role would silently have no rights."""
    entry = {**example("keys")["keys"][0], "role": "responder"}
    assert refused(KeyList, "keys", keys=[entry]).startswith("keys.0.role")


def test_a_list_has_a_version_from_one_on() -> None:
    """The first list could not be told from none."""
    assert refused(KeyList, "keys", version=0).startswith("version")


def test_an_entry_gives_a_person_no_right_it_does_not_name() -> None:
    """A key added in a hurry could stop the fleet."""
    entry = {**example("keys")["keys"][1]}
    del entry["may"]
    assert KeyList.model_validate({**example("keys"), "keys": [entry]}).keys[0].may == ()
