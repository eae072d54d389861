"""`lictor-agent`: run an agent under supervision."""

import argparse
import logging
import sys
from collections.abc import Sequence

from lictor_agent.errors import LictorAgentError
from lictor_agent.supervisor import Supervisor, shell_status


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        prog="lictor-agent",
        description="Run an agent so that an order to stop it ends its process, with the exit status as proof.",
        epilog="Settings: LICTOR_KAFKA, LICTOR_ROOT_KEY, LICTOR_AGENT_KEY for the agent; LICTOR_SUPERVISOR_KEY for the "
        "supervisor alone: the agent's process does not get it.",
    )
    verbs = found.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run a command under supervision: lictor-agent run -- python my_agent.py")
    run.add_argument("--grace", type=float, default=2.0, metavar="S", help="seconds a stopped run has to end by itself")
    run.add_argument("--term", type=float, default=3.0, metavar="S", help="seconds between SIGTERM and SIGKILL")
    run.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, return the exit status."""
    arguments = parser().parse_args(argv)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        parser().error("nothing to run: lictor-agent run -- CMD…")
    logging.basicConfig(level=logging.WARNING, format="lictor-agent: %(message)s")
    try:
        return shell_status(Supervisor(command, grace_s=arguments.grace, term_s=arguments.term).run())
    except LictorAgentError as error:
        sys.stderr.write(f"lictor-agent: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
