"""The head of one partition's chain in the history, signed so that the history cannot be rewritten unseen."""

from typing import ClassVar

from schemas.message import Message, Micros


class AuditHead(Message):
    """Signed by `audit`, a process of its own that serves no SQL."""

    type: ClassVar[str] = "audit_head"

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    chain: str
    merkle_root: str
    time_us: Micros
