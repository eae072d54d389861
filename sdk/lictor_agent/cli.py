"""`lictor-agent`: run an agent under supervision, and send what a dead one left."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from lictor_agent.drain import drain
from lictor_agent.errors import LictorAgentError
from lictor_agent.settings import AgentSettings
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
    left = verbs.add_parser("drain", help="send what agents that died left on disk: lictor-agent drain DIR")
    left.add_argument(
        "folder", type=Path, metavar="DIR", help="a spool folder (LICTOR_SPOOL), or one agent's folder in it"
    )
    run.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, return the exit status."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="lictor-agent: %(message)s")
    try:
        return _drain(arguments.folder) if arguments.verb == "drain" else _run(arguments)
    except LictorAgentError as error:
        sys.stderr.write(f"lictor-agent: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        parser().error("nothing to run: lictor-agent run -- CMD…")
    return shell_status(Supervisor(command, grace_s=arguments.grace, term_s=arguments.term).run())


def _drain(folder: Path) -> int:
    """Send what is left; the exit status is 0 only if all of it was."""
    done = drain(folder, AgentSettings.read())
    words = f"{done.sent} records of {done.processes} processes sent"
    words += f"; {done.damaged} were damaged and are lost" if done.damaged else ""
    words += f"; what {done.left} processes left could not be sent whole and stays" if done.left else ""
    sys.stdout.write(f"{words}\n")
    return 1 if done.left or done.damaged else 0


if __name__ == "__main__":
    sys.exit(main())
