"""The `lictor` command and what all its verbs share."""

import logging
import sys
from collections.abc import Sequence

import click

from lictor import __version__
from schemas.errors import LictorError


class Verbs(click.Group):
    """Lists verbs in the order in which a newcomer meets them, and turns our errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs as they were added."""
        del ctx
        return list(self.commands)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lictor")
def app() -> None:
    """Lictor: the control plane above AI agents.

    Agents publish every step to Kafka; detectors judge each step while it happens; responders stop the agent; ClickHouse
    keeps everything. Start with `lictor demo`, then `lictor up`.
    """


def run(argv: Sequence[str] | None = None) -> None:
    """Run the command line; an error of ours is one line on stderr and an exit code, never a stack trace."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app.main(args=list(argv) if argv is not None else None, prog_name="lictor", standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except LictorError as error:
        click.echo(f"lictor: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        click.echo(f"lictor: {error.strerror or type(error).__name__}{where}", err=True)
        sys.exit(1)
