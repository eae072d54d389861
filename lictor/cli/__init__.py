"""The command line: one file a group of verbs; a verb parses, builds, calls, prints."""

import click

from lictor.cli.app import main

__all__ = ["add_verbs", "main"]


def add_verbs(app: click.Group) -> None:
    """Add every verb, in the order in which a newcomer meets them."""
    from lictor.cli import bench, demo, doctor, keys, look, order, policy, policy_explain, run, sessions  # noqa: PLC0415 - imported once the command line runs, not when it is imported

    policy.policy.add_command(policy_explain.explain)
    verbs = (
        demo.demo,
        run.up,
        look.status,
        look.tail,
        look.agents,
        look.sql,
        order.kill,
        order.pause,
        order.resume,
        order.lift,
        policy.policy,
        sessions.ingest,
        sessions.backtest,
        bench.bench,
        keys.keys,
        doctor.doctor,
        run.init,
        run.worker,
    )
    for verb in verbs:
        app.add_command(verb)
