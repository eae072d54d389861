"""Compiles a rule bundle in a process of its own: `python -m lictor.rules_child`, the bundle on stdin, the engine on stdout."""

import sys

from detectors.engine.engine import compile_sources
from schemas.errors import LictorError
from schemas.rule_bundle import RuleBundle


def main() -> int:
    """Return the exit status: 2 where the bundle cannot be compiled, with the reason on stderr."""
    try:
        compiled = compile_sources(RuleBundle.read(sys.stdin.buffer.read()).sources())
    except LictorError as error:
        sys.stderr.write(str(error))
        return 2
    sys.stdout.buffer.write(compiled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
