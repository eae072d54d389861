"""What cannot be meant in a grant: refused when the file is read, since a condition that never holds refuses nobody."""

from collections.abc import Set as AbstractSet
from typing import Final

from schemas.policy import Grant, Rewrite

_WHOLE: Final = frozenset(
    {
        "agent", "version", "workflow", "principal", "delegator", "tool", "model", "to_agent", "environment", "reads",
        "labels", "time.hour", "time.weekday", "spent.steps", "spent.tool_calls", "spent.model_calls", "spent.tokens",
        "spent.cost_usd",
    }
)  # fmt: skip


def bad_narrow(grant: Grant) -> str:
    """Return what is wrong with how a grant narrows; "" where nothing is."""
    if grant.effect != "narrow":
        return f"only effect narrow rewrites arguments, not {grant.effect}" if grant.narrow else ""
    if not grant.tools or not grant.narrow:
        return "narrow is about tools, and says under `narrow` how their arguments are rewritten"
    for argument, how in grant.narrow.items():
        if not argument.startswith("arguments."):
            return f"narrow: {argument!r} must be an argument, as arguments.x.y"
        if isinstance(how, Rewrite) and len(how.model_fields_set) != 1:
            return f"narrow: {argument} must be rewritten in one way: at_most, set, remove, keep or shorten"
    return ""


def bad_paths(grant: Grant, sums: AbstractSet[str]) -> str:
    """Return which path of a grant's conditions leads nowhere; "" where none does. `sums`: the amounts it may ask about."""
    for path in grant.when:
        if path in _WHOLE or path.startswith("arguments.") or path == "arguments":
            continue
        if path.startswith("amounts."):
            if path.removeprefix("amounts.") not in sums:
                return f"when: {path} asks about a sum that no layer defines under `amounts`"
            continue
        return f"when: nothing is called {path!r}; an argument is arguments.x.y, the others are in write-a-policy"
    return ""
