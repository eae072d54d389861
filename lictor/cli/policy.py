"""`lictor policy`: looks at a policy file, and tries it, before it is put in force."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detectors.base import shown
from lictor.policy_diff import differences
from lictor.policy_file import Policies, load_policies
from lictor.policy_lint import warnings
from lictor.policy_tests import Outcome, Survivor, run_cases, survivors
from lictor.settings import Settings
from schemas.errors import BadPolicy
from schemas.policy import AgentPolicy


@click.group()
def policy() -> None:
    """Check a policy file, show it, and run the tests in it."""


@policy.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array: level, place, what, todo.")
def lint(file: Path | None, *, strict: bool, as_json: bool) -> None:
    """Say what is wrong with FILE, and what is allowed in it and hardly meant. Exit status 1 on errors."""
    try:
        found = [{"level": "warning", **asdict(warned)} for warned in warnings(_load(file))]
    except BadPolicy as error:
        found = [{"level": "error", "place": "file", "what": str(error), "todo": "correct the file"}]
    if as_json:
        click.echo(json.dumps(found))
    else:
        for one in found:
            click.echo(f"{one['level']:<8} {shown(one['place'])}: {shown(one['what'], 1000)} → {shown(one['todo'])}")
    sys.exit(1 if any(strict or one["level"] == "error" for one in found) else 0)


@policy.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.argument("agent", required=False)
@click.option("--json", "as_json", is_flag=True, help="The policy as agents are sent it: one object, or an array.")
def show(file: Path | None, agent: str | None, *, as_json: bool) -> None:
    """Show what each agent is sent, its layers put together. FILE: LICTOR_POLICY, else the policy that came with Lictor."""
    found = _load(file)
    chosen = found.agents if agent is None else (found.of(agent),)
    if as_json:
        said = [one.model_dump(mode="json", exclude={"words"} if agent is None else None) for one in chosen]
        click.echo(json.dumps(said if agent is None else said[0]))
        return
    for one in chosen:
        _show(one)


@policy.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--fail-on-widening", is_flag=True, help="Exit with 1 if any agent may do more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array: agent, what, widens.")
def diff(old: Path, new: Path, *, fail_on_widening: bool, as_json: bool) -> None:
    """Say what changes for which agent from OLD to NEW; what lets an agent do more comes first, and is marked."""
    found = differences(load_policies(old), load_policies(new))
    if as_json:
        click.echo(json.dumps([asdict(change) for change in found]))
    for change in () if as_json else found:
        click.echo(f"{'WIDER ' if change.widens else '      '}{shown(change.agent)}: {shown(change.what, 1000)}")
    sys.exit(1 if fail_on_widening and any(change.widens for change in found) else 0)


@policy.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--allow-untested", is_flag=True, help="Exit with 0 though changes of grants break no test.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: tests, untested.")
def test(file: Path | None, *, allow_untested: bool, as_json: bool) -> None:
    """Run the tests in FILE; then change each grant a little, and say which changes no test notices.

    Exit status 1 if a test fails or a change goes unnoticed.
    """
    found = _load(file)
    outcomes = run_cases(found)
    passed = all(outcome.passed for outcome in outcomes)
    unnoticed = survivors(found) if passed else []
    if as_json:
        click.echo(json.dumps(_as_json(outcomes, unnoticed)))
    else:
        _tell(outcomes, unnoticed)
    sys.exit(0 if passed and (allow_untested or not unnoticed) else 1)


def _load(file: Path | None) -> Policies:
    return load_policies(file if file is not None else Settings.read().policy)


def _show(one: AgentPolicy) -> None:
    click.echo(f"{shown(one.agent_id)}: mode {one.mode}, policy version {one.version}, owner {shown(one.owner) or '-'}")
    for layer in one.layers:
        for grant in layer.grants:
            globs = ", ".join(map(shown, (*grant.tools, *grant.models, *grant.agents)))
            extent = " under conditions" if grant.when else ""
            click.echo(f"  {shown(layer.name)}: {shown(grant.id)}: {grant.effect} {globs}{extent}")


def _tell(outcomes: list[Outcome], unnoticed: list[Survivor]) -> None:
    for outcome in outcomes:
        click.echo(_line(outcome))
    for one in unnoticed:
        click.echo(f"untested  {shown(one.layer)}: {shown(one.grant)}: no test notices {shown(one.change)}")
    failed = sum(not outcome.passed for outcome in outcomes)
    changes = "grants not tried while tests fail" if failed else f"{len(unnoticed)} changes of grants unnoticed"
    click.echo(f"{len(outcomes)} tests, {failed} failed, {changes}")


def _line(outcome: Outcome) -> str:
    case, said = outcome.case, outcome.said
    if outcome.passed:
        return f"ok        {shown(case.say)}"
    wanted = case.expect if case.grant is None else f"{case.expect} by {shown(case.grant) or 'no grant'}"
    by = f"grant {shown(said.grant)}" if said.grant else shown(said.rule)
    return f"FAILED    {shown(case.say)}: expected {wanted}, but the gate says {said.verdict} by {by}: {shown(said.reason)}"


def _as_json(outcomes: list[Outcome], unnoticed: list[Survivor]) -> dict[str, Any]:
    return {
        "tests": [
            {"say": one.case.say, "passed": one.passed, "expected": one.case.expect, "said": asdict(one.said)}
            for one in outcomes
        ],
        "untested": [asdict(one) for one in unnoticed],
    }
