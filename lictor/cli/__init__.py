"""The command line: one file a group of verbs; a verb parses, builds, calls, prints."""

import signal

TYPE_CHECKING = False
"""Known to type checkers by its name. Nothing is imported here but what lets Ctrl-C be taken before all else is."""
if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

__all__ = ["add_verbs", "main"]


def main(argv: "Sequence[str] | None" = None) -> None:
    """Run the command line. Everything is imported here, in a second in which Ctrl-C ends the process without a word."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler and _let(signal.SIG_DFL)
    try:
        from lictor.cli.app import app, run  # noqa: PLC0415 - see above

        add_verbs(app)
    finally:
        if ours:
            _let(signal.default_int_handler)
    run(argv)


def _let(handler: "signal._HANDLER") -> bool:
    """Have SIGINT taken by a handler; tell whether it is. It cannot be in a thread, where no signal comes."""
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return False
    return True


def add_verbs(app: "click.Group") -> None:
    """Add every verb, in the order in which a newcomer meets them."""
    from lictor.cli import (  # noqa: PLC0415 - imported once the command line runs, not when it is imported
        agents,
        bench,
        demo,
        doctor,
        evaluate,
        keys,
        look,
        order,
        policy,
        policy_explain,
        policy_publish,
        policy_risk,
        policy_suggest,
        rules,
        rules_explain,
        run,
        sessions,
    )

    for more in (policy_explain.explain, policy_publish.publish, policy_publish.status, policy_publish.rollback):
        policy.policy.add_command(more)
    policy.policy.add_command(policy_suggest.suggest)
    policy.policy.add_command(policy_risk.risk)
    for more in (rules_explain.explain, rules_explain.show_coverage, rules_explain.show_fields, rules_explain.new):
        rules.rules.add_command(more)
    verbs = (
        demo.demo,
        run.up,
        look.status,
        look.tail,
        agents.agents,
        look.sql,
        order.kill,
        order.pause,
        order.resume,
        order.lift,
        policy.policy,
        rules.rules,
        sessions.ingest,
        sessions.backtest,
        evaluate.evaluate,
        bench.bench,
        keys.keys,
        doctor.doctor,
        run.init,
        run.worker,
    )
    for verb in verbs:
        app.add_command(verb)
