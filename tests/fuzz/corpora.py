"""What fuzzing begins with: golden bytes of every release, a few seeds, and whatever once broke a target."""

from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS, seeds

CORPUS: Final = Path(__file__).parent / "corpus"
COMPAT: Final = Path(__file__).parents[1] / "compat" / "v1"
_FROM_COMPAT: Final = {
    "step": "step*.json",
    "judgement": "step*.json",
    "bundle": "rule_bundle.json",
    "checkpoint": "*.hex",
    "views": "*.json",
    "flow": "*.json",
}


def corpus_of(name: str) -> list[bytes]:
    """Return the inputs of a target, the same in the same order everywhere."""
    assert name in TARGETS
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()]
    golden = (
        [_bytes_of(path) for path in sorted(COMPAT.glob(_FROM_COMPAT.get(name, "")))] if name in _FROM_COMPAT else []
    )
    return [*kept, *golden, *seeds(name), b""]


def _bytes_of(path: Path) -> bytes:
    return bytes.fromhex(path.read_text(encoding="ascii")) if path.suffix == ".hex" else path.read_bytes()
