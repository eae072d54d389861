"""What a rule file says beside its detection: Sigma's own keys about the rule, and Lictor's under `lictor:`."""

from typing import Any, Final, get_args

from detectors.engine.load_detection import Refusal
from detectors.engine.plan import About, Lictor
from schemas.finding import Mode
from schemas.message import SEVERITIES, Severity
from schemas.rule_file import Scope

KEYS: Final = frozenset(
    {"confidence", "impact", "mode", "scope", "suppress", "response", "version", "tests", "runbook", "references"}
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST_SUPPRESS_S: Final = 30 * 86400


def about_of(data: dict[str, Any], place: str) -> About:
    """Return what people want to know of a rule. Raises `Refusal`."""
    level = str(data.get("level") or "medium")
    if level not in SEVERITIES:
        raise Refusal(f"level is {level!r}; known are {', '.join(SEVERITIES)}", "level")
    own = data.get("lictor") or {}
    return About(
        title=str(data.get("title") or "")[:256],
        level=_severity(level),
        description=str(data.get("description") or "")[:4096],
        tags=_texts(data.get("tags")),
        references=_texts(data.get("references")),
        falsepositives=_texts(data.get("falsepositives")),
        status=str(data.get("status") or ""),
        author=str(data.get("author") or "")[:256],
        place=place,
        runbook=str((own.get("runbook") if isinstance(own, dict) else "") or "")[:8192],
    )


def _severity(level: str) -> Severity:
    return next(each for each in SEVERITIES if each == level)


def _texts(value: Any) -> tuple[str, ...]:
    many = value if isinstance(value, list) else [value] if value else []
    return tuple(str(each)[:1024] for each in many)[:64]


def lictor_of(data: dict[str, Any], *, untested: bool) -> tuple[Lictor, list[Any]]:
    """Return what stands under `lictor:`, and its tests. Raises `Refusal`, also for a rule never shown to fire."""
    own = data.get("lictor")
    if own is not None and not isinstance(own, dict):
        raise Refusal("`lictor` is a mapping of keys", "lictor")
    own = own or {}
    unknown = sorted(set(map(str, own)) - KEYS)
    if unknown:
        raise Refusal(f"unknown key lictor.{unknown[0]}; known are {', '.join(sorted(KEYS))}", unknown[0])
    tests = own.get("tests") or []
    tested = _is_tested(tests)
    if not tested and not untested:
        raise Refusal("needs `lictor.tests` with at least one case that fires and one that stays silent", "tests")
    mode: Mode = _one_of(own, "mode", "observe", get_args(Mode))
    return Lictor(
        confidence=_share(own, "confidence", 0.7),
        impact=_share(own, "impact", 0.5),
        mode=mode if tested else "observe",
        scope=_one_of(own, "scope", "trace", get_args(Scope)),
        suppress_s=seconds(own.get("suppress", 0), "suppress"),
        response=str(own.get("response") or "")[:256],
        version=_version(own.get("version", 1)),
    ), tests


def _is_tested(tests: Any) -> bool:
    if not isinstance(tests, list) or not all(isinstance(case, dict) for case in tests):
        raise Refusal("lictor.tests is a list of cases", "tests")
    said = {case.get("fires") for case in tests}
    return True in said and False in said


def _one_of(own: dict[str, Any], name: str, default: str, known: tuple[Any, ...]) -> Any:
    value = own.get(name, default)
    if value not in known:
        raise Refusal(f"lictor.{name} is {value!r}; known are {', '.join(map(str, known))}", name)
    return value


def _share(own: dict[str, Any], name: str, default: float) -> float:
    value = own.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refusal(f"lictor.{name} is a number from 0 to 1, not {value!r}", name)
    return float(value)


def _version(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 1 << 31:
        raise Refusal(f"lictor.version is a whole number from 1, not {value!r}", "version")
    return value


def seconds(value: Any, name: str) -> int:
    """Return a duration in seconds: a whole number of them, or a text such as `10m`. Raises `Refusal`."""
    text = str(value)
    unit = _UNITS.get(text[-1:], 0)
    number = text[:-1] if unit else text
    if isinstance(value, bool) or not number.isascii() or not number.isdigit():
        raise Refusal(f"lictor.{name} is a duration such as 30s, 10m, 2h or 1d, not {value!r}", name)
    found = int(number[:9]) * (unit or 1)
    if found > MOST_SUPPRESS_S:
        raise Refusal(f"lictor.{name} is at most 30 days, not {value!r}", name)
    return found
