"""Rules to measure with: a seeded mix like those that people write, of which nearly none fires on the steps of `workload`."""

import random
from typing import Any, Final

import yaml

from benchmarks.texts import MARKS

EACH_FIRES: Final = 100
"""One rule in so many looks for what steps say now and then (`texts.MARKS`), each in another of Sigma's ways."""
_KNOWN_TOOLS: Final = 0.02
_TOOLS: Final = ("web.get", "customers.read", "notes.write")
_LETTERS: Final = "bcdfghjklmnpqrstvwxz"
_TACTICS: Final = ("exfil", "shadow", "harvest", "beacon", "tunnel", "mimic", "wiper", "loader", "stager", "pivot")


def rules(seed: int, count: int) -> dict[str, str]:
    """Return rule files: path → Sigma YAML. The first rules of a larger set are those of a smaller one."""
    chance = random.Random(seed)
    made = [_rule(chance, number) for number in range(count)]
    return {f"bench/{number:05d}.yml": yaml.safe_dump(rule, sort_keys=False) for number, rule in enumerate(made)}


def _word(chance: random.Random) -> str:
    return chance.choice(_TACTICS) + "-" + "".join(chance.choices(_LETTERS, k=6))


def _tool(chance: random.Random) -> str:
    """Return a tool's name: one in fifty is among those that the steps call."""
    return (
        chance.choice(_TOOLS)
        if chance.random() < _KNOWN_TOOLS
        else f"{_word(chance)}.{chance.choice(('get', 'run', 'send'))}"
    )


def _rule(chance: random.Random, number: int) -> dict[str, Any]:
    detection = chance.choices(
        (_contains, _all_of, _pattern, _typed, _ends, _filtered, _wildcards, _keywords, _result), _SHARES
    )[0](chance)
    if number % EACH_FIRES == EACH_FIRES // 2:
        at = number // EACH_FIRES
        detection = _FIRING[at % len(_FIRING)](MARKS[at % len(MARKS)])
    return {
        "title": f"Bench {number}",
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "logsource": {"product": "ai_agent", "category": "agent_events"},
        "detection": detection,
        "level": "medium",
    }


def _contains(chance: random.Random) -> dict[str, Any]:
    return {
        "call": {"kind": "tool_call", "arguments.about|contains": [_word(chance) for _ in range(3)]},
        "text": {"text|contains": [_word(chance), _word(chance)]},
        "condition": "call or text",
    }


def _all_of(chance: random.Random) -> dict[str, Any]:
    return {
        "text": {"text|contains|all": [_word(chance), chance.choice(("invoice", "review", "update"))]},
        "condition": "text",
    }


def _pattern(chance: random.Random) -> dict[str, Any]:
    pattern = rf"{_word(chance)}\s*[:=]\s*[0-9a-f]{{{chance.randrange(4, 12)}}}"
    return {"text": {"text|re": pattern}, "condition": "text"}


def _typed(chance: random.Random) -> dict[str, Any]:
    return {
        "call": {
            "kind": "tool_call",
            "tool": [_tool(chance), _tool(chance)],
            "arguments.id|gt": chance.randrange(50, 500),
        },
        "condition": "call",
    }


def _ends(chance: random.Random) -> dict[str, Any]:
    return {
        "link": {"arguments.url|endswith": [f"/{_word(chance)}", f".{_word(chance)}.example"]},
        "begins": {"arguments.url|startswith": f"ftp://{_word(chance)}"},
        "condition": "1 of *",
    }


def _filtered(chance: random.Random) -> dict[str, Any]:
    return {
        "call": {"tool": _tool(chance)},
        "said": {"arguments.about|contains": _word(chance)},
        "filter_known": {"arguments.about|contains": ["approved", _word(chance)]},
        "condition": "call and said and not filter_known",
    }


def _wildcards(chance: random.Random) -> dict[str, Any]:
    return {
        "text": {"text": [f"*{_word(chance)}*{_word(chance)}*", f"{_word(chance)}?{_word(chance)}*"]},
        "condition": "text",
    }


def _keywords(chance: random.Random) -> dict[str, Any]:
    return {"keywords": [_word(chance), _word(chance), _word(chance)], "condition": "keywords"}


def _result(chance: random.Random) -> dict[str, Any]:
    return {
        "result": {"kind": "tool_result", "origin": ["web", "tool"], "outcome": "executed"},
        "said_one": {"text|contains": _word(chance)},
        "said_two": {"text|cased|contains": _word(chance).upper()},
        "condition": "result and 1 of said_*",
    }


def _says(mark: str) -> dict[str, Any]:
    return {"text": {"text|contains": [mark, "no-such-word"]}, "condition": "text"}


def _has_number(mark: str) -> dict[str, Any]:
    return {"text": {"text|re": rf"{mark}\s*[:=]\s*[0-9][0-9a-f]{{3}}"}, "condition": "text"}


def _link_ends(mark: str) -> dict[str, Any]:
    link = {"kind": "tool_call", "tool": "web.get", "arguments.url|endswith": f"/{mark}"}
    return {"link": link, "condition": "link"}


def _not_approved(mark: str) -> dict[str, Any]:
    return {
        "call": {"tool": ["customers.read", "notes.write"]},
        "said": {"arguments.about|contains": mark},
        "filter_known": {"arguments.about|contains": "approved"},
        "condition": "call and said and not filter_known",
    }


def _over(mark: str) -> dict[str, Any]:
    call = {"kind": "tool_call", "arguments.id|gt": 1000, "arguments.about|contains|all": [mark, ":"]}
    return {"call": call, "condition": "call"}


def _wild(mark: str) -> dict[str, Any]:
    return {"said": {"arguments.about": f"*{mark}: ??*"}, "condition": "said"}  # RSigma's `*` ends at a line's end


def _anywhere(mark: str) -> dict[str, Any]:
    return {"keywords": [mark.upper()], "result": {"kind": "tool_result"}, "condition": "keywords and result"}


_SHARES: Final = (34, 13, 12, 12, 8, 11, 4, 3, 3)
_FIRING: Final = (_says, _has_number, _link_ends, _not_approved, _over, _wild, _anywhere)
