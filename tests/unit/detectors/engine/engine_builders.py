"""Makers of what the tests of the engine judge: a step as it is seen, a rule's file, a set of loaded rules."""

from typing import Any

import msgspec

from detectors.base import Seen
from detectors.engine.compiled import Compiled
from detectors.engine.firings import Value
from detectors.engine.load import Loaded, load_rules
from detectors.facts import Facts
from detectors.inspect import see
from detectors.policy_view import PolicyView
from tests.unit.builders import NOW, a_policy, a_step

HEAD = "title: T\nname: t\nlogsource: {product: ai_agent}\n"


class Known(msgspec.Struct, frozen=True):
    """A context that is simply said."""

    known: dict[str, tuple[Value, ...]] = {}

    def value(self, name: str) -> tuple[Value, ...]:
        """Return what is said."""
        return self.known.get(name, ())


NOTHING = Known()


def seen(kind: str = "message", **fields: Any) -> Seen:
    """Return a step as it is judged, under the default policy's traits."""
    facts = Facts(fallback=PolicyView(a_policy(agent_id="*")))
    return see(a_step(kind, **{"digest": "-"} | fields), 1, 0, NOW, "marked", facts)


def rule_of(detection: str, head: str = HEAD) -> str:
    """Return the text of a rule's file, the detection's lines given without indentation."""
    return head + "detection:\n" + "".join(f"  {line}\n" for line in detection.strip("\n").splitlines())


def loaded(*texts: str) -> Loaded:
    """Return what comes of files, which need no tests."""
    return load_rules({f"rule{number}.yml": text for number, text in enumerate(texts)}, untested=True)


def fires(detection: str, step: Seen, context: Known = NOTHING) -> bool:
    """Tell whether a rule holds on a step; it must load."""
    found = loaded(rule_of(detection))
    assert not found.refused, found.refused
    return bool(Compiled(found.rules, None).match(step, context).fired)


def refusals(text: str) -> list[str]:
    """Return why a file is refused."""
    return [str(each) for each in loaded(text).refused]
