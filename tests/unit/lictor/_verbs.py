"""The command line, run in this process as the shell would run it."""

import contextlib
import io
from dataclasses import dataclass

from lictor.cli import main


@dataclass(frozen=True)
class Ran:
    """What a verb said, and how it ended."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """Run `lictor` with these arguments."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    return Ran(code, out.getvalue(), err.getvalue())
