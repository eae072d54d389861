"""`lictor rules`: looks at rules, and tries them, before they are put in force."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detectors.base import shown
from detectors.engine.plan import Correlation, Rule
from lictor.rules_check import Rules, Tried
from schemas.errors import BadRule

_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_UNTESTED = click.option(
    "--untested", is_flag=True, help="Also take rules of others that carry no tests; they can only observe."
)


@click.group()
def rules() -> None:
    """Check rule files, say what they find, and run the tests in them. PATHS: files and folders; else Lictor's own."""


@rules.command()
@_PATHS
@_UNTESTED
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: rules, loaded, problems.")
def lint(paths: tuple[Path, ...], *, untested: bool, strict: bool, as_json: bool) -> None:
    """Say what is wrong with rules, each with its file and line, and how many of how many load. Exit status 1 on errors."""
    found = Rules(paths, untested=untested)
    problems = found.problems()
    if as_json:
        said = {"rules": found.documents, "loaded": len(found.all), "problems": [asdict(each) for each in problems]}
        click.echo(json.dumps(said))
    else:
        for each in problems:
            click.echo(f"{each.level:<8} {shown(each.place, 300)}: {shown(each.what, 1000)}")
        click.echo(f"{len(found.all)} of {found.documents} rules load")
    sys.exit(1 if any(strict or each.level == "error" for each in problems) else 0)


@rules.command()
@_PATHS
@click.option("--json", "as_json", is_flag=True, help="One JSON object: rules, refused.")
def test(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Run the tests in rules; then disguise the firing ones, and say how many are still found in each disguise.

    Case, percent and base64 encoding, invisible characters, look-alike letters, half the text in one step and half in the
    next. Exit status 1 if a test fails or a rule is refused; what a disguise hides is told, and fails nothing.
    """
    found = Rules(paths)
    tried = [_try(found, rule) for rule in found.all]
    if as_json:
        refused = [asdict(each) for each in found.bad]
        click.echo(json.dumps({"rules": [_as_json(each) for each in tried], "refused": refused}))
    else:
        for problem in found.bad:
            click.echo(f"refused  {shown(problem.place, 300)}: {shown(problem.what, 1000)}")
        for each in tried:
            _tell(each)
        _tell_sum(tried)
    sys.exit(1 if found.bad or not all(each.passed for each in tried) else 0)


def _try(found: Rules, rule: Rule | Correlation) -> Tried:
    try:
        return found.try_rule(rule)
    except BadRule as error:
        raise BadRule(str(error), where=rule.about.place) from None


def _tell(tried: Tried) -> None:
    name = shown(tried.rule.name or tried.rule.id)
    for result in tried.results:
        if not result.passed:
            wanted = "fire" if result.case.fires else "stay silent"
            click.echo(
                f"FAILED   {name}: {shown(result.case.say)}: should {wanted}  ({shown(tried.rule.about.place, 300)})"
            )
    if tried.passed:
        disguised = "  ".join(f"{way} {got}" for way, got in tried.recall.items())
        click.echo(f"ok       {name}: {len(tried.results)} tests; {disguised}")


def _tell_sum(tried: list[Tried]) -> None:
    results = [result for each in tried for result in each.results]
    failed = sum(not result.passed for result in results)
    click.echo(f"{len(tried)} rules, {len(results)} tests, {failed} failed")
    ways: dict[str, tuple[int, int]] = {}
    for each in tried:
        for way, got in each.recall.items():
            hits, of = ways.get(way, (0, 0))
            ways[way] = hits + got.found, of + got.of
    for way, (hits, of) in ways.items():
        click.echo(f"  {way:<10} {hits} of {of} found in this disguise")


def _as_json(tried: Tried) -> dict[str, Any]:
    return {
        "rule": tried.rule.id,
        "place": tried.rule.about.place,
        "passed": tried.passed,
        "tests": [
            {"say": result.case.say, "expected": result.case.fires, "fired": result.fired} for result in tried.results
        ],
        "recall": {way: {"found": got.found, "of": got.of} for way, got in tried.recall.items()},
    }


@rules.command("list")
@_PATHS
@_UNTESTED
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_rules(paths: tuple[Path, ...], *, untested: bool, as_json: bool) -> None:
    """List rules: id, level, mode, how many tests, tags, title."""
    found = Rules(paths, untested=untested)
    if as_json:
        click.echo(json.dumps([_row(found, rule) for rule in found.all]))
        return
    for rule in found.all:
        about, tests = rule.about, len(found.cases.get(rule.id, ()))
        tags = shown(",".join(about.tags), 60)
        click.echo(
            f"{shown(rule.id):<40} {about.level:<13} {rule.lictor.mode:<8} {tests:>3} tests  {tags:<40} {shown(about.title)}"
        )
    for problem in found.bad:
        click.echo(f"refused  {shown(problem.place, 300)}: {shown(problem.what, 300)}", err=True)


def _row(found: Rules, rule: Rule | Correlation) -> dict[str, Any]:
    return {
        "id": rule.id,
        "kind": "correlation" if isinstance(rule, Correlation) else "rule",
        "level": rule.about.level,
        "mode": rule.lictor.mode,
        "tests": len(found.cases.get(rule.id, ())),
        "tags": list(rule.about.tags),
        "title": rule.about.title,
        "place": rule.about.place,
    }
