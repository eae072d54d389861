"""Names derived from content: the same facts always have the same name, whoever computes it.

An id is the BLAKE2b digest of its parts, each prefixed by its length so that no two lists of parts read alike, in a
domain of its own (`person`), as 32 hex digits. `sdk/lictor_agent/wire.py` computes step ids the same way; the vectors
in `tests/contract/ids.jsonl` hold both to it.
"""

import hashlib
from typing import Final

import msgspec

_ID_BYTES: Final = 16
_canonical = msgspec.json.Encoder(order="deterministic")


def named(domain: str, *parts: str) -> str:
    """Return the id of `parts` in `domain` (at most 16 bytes): 32 hex digits."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES, person=domain.encode()
    ).hexdigest()


def step_id(agent_id: str, run_id: str, trace_id: str, seq: int) -> str:
    """Return the id of one step: what it is about, not what it says."""
    number = str(seq)
    text = f"{len(agent_id)}:{agent_id}{len(run_id)}:{run_id}{len(trace_id)}:{trace_id}{len(number)}:{number}"  # as `named`
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES, person=b"lictor.step"
    ).hexdigest()


class StepIds:
    """The ids of the steps of one run in one trace: as `step_id`, with what they have in common hashed once."""

    __slots__ = ("_common",)

    def __init__(self, agent_id: str, run_id: str, trace_id: str) -> None:
        text = f"{len(agent_id)}:{agent_id}{len(run_id)}:{run_id}{len(trace_id)}:{trace_id}"
        self._common = hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES, person=b"lictor.step"
        )

    def step_id(self, seq: int) -> str:
        """Return the id of one step."""
        number = str(seq)
        name = self._common.copy()
        name.update(f"{len(number)}:{number}".encode())
        return name.hexdigest()


def finding_id(rule_id: str, rule_version: int, group: str, evidence: list[str]) -> str:
    """Return the id of a finding: the same rule over the same steps is the same finding, live or in replay."""
    return named("lictor.finding", rule_id, str(rule_version), group, *sorted(evidence))


def command_id(agent_id: str, run_id: str, epoch: int, action: str, arguments: dict[str, object]) -> str:
    """Return the id of a command. The epoch tells the second stop of an incident from a copy of the first."""
    return named("lictor.command", agent_id, run_id, str(epoch), action, canonical(arguments).decode())


def canonical(value: object) -> bytes:
    """Encode `value` as JSON with sorted keys and no spaces: equal values give equal bytes."""
    return _canonical.encode(value)


def content_digest(content: dict[str, object]) -> str:
    """Return the digest of what a step says (64 hex digits), over its published, canonical content."""
    return hashlib.blake2b(canonical(content), digest_size=32, person=b"lictor.content").hexdigest()
