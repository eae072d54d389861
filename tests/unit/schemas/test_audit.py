"""The signed head of the history."""

import pytest

from schemas.audit import AuditHead
from tests.unit.builders import refused


@pytest.mark.parametrize("field", ["topic", "last_offset", "records", "chain", "merkle_root"])
def test_a_head_without_its_place_or_digest_is_refused(field: str) -> None:
    """A rewritten history could be covered by a head that says nothing."""
    assert refused(AuditHead, "audit_head", **{field: None}).startswith(field)
