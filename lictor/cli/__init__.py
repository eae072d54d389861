"""The command line: one file a group of verbs; a verb parses, builds, calls, prints."""

import click

from lictor.cli.app import main

__all__ = ["add_verbs", "main"]


def add_verbs(app: click.Group) -> None:
    """Add every verb, in the order in which a newcomer meets them."""
    from lictor.cli import demo, run, sessions  # noqa: PLC0415 - imported once the command line runs, not when it is imported

    for verb in (demo.demo, run.up, sessions.ingest, sessions.backtest, run.worker):
        app.add_command(verb)
