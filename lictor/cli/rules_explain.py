"""`lictor rules explain`, `coverage`, `fields` and `new`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detectors.base import Detector, shown
from detectors.engine import fields as known_fields
from detectors.engine.plan import Correlation, Rule
from detectors.inspect import ALL
from lictor import rules_words
from lictor.rules_check import Rules
from lictor.rules_coverage import coverage
from lictor.rules_template import write_template

_WHERE = click.option(
    "--rules", "places", multiple=True, type=click.Path(path_type=Path), help="Files and folders; else Lictor's own."
)


@click.command()
@click.argument("name")
@_WHERE
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def explain(name: str, places: tuple[Path, ...], *, as_json: bool) -> None:
    """Say in words what the rule NAME (id, name or title) fires on, what it is blind to, and what its tests show."""
    found = Rules(places, untested=True)
    rule = found.find(name)
    tried = found.try_rule(rule)
    tests = [{"say": each.case.say, "fires": each.case.fires, "passed": each.passed} for each in tried.results]
    said: dict[str, Any] = {
        "id": rule.id,
        "title": rule.about.title,
        "place": rule.about.place,
        "level": rule.about.level,
        "mode": rule.lictor.mode,
        "description": rule.about.description,
        "fires": list(rules_words.correlation(rule) if isinstance(rule, Correlation) else rules_words.condition(rule.condition)),
        "witness": rules_words.witness(rule) if isinstance(rule, Rule) else "",
        "blind_spots": rules_words.blind_spots(rule),
        "falsepositives": list(rule.about.falsepositives),
        "tests": tests,
        "recall": {way: str(got) for way, got in tried.recall.items()},
        "runbook": rule.about.runbook,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(said))
        return
    for line in _lines(said):
        click.echo(line)


def _lines(said: dict[str, Any]) -> Iterator[str]:
    yield f"{shown(said['title'], 300)}  ({shown(said['id'])}, {said['level']}, mode {said['mode']})"
    yield f"{shown(said['place'], 300)}"
    yield from ("", shown(" ".join(said["description"].split()), 2000)) if said["description"] else ()
    yield from ("", "fires on a step of which holds", *(f"  {shown(line, 500)}" for line in said["fires"]))
    yield from ("", f"judged once this is seen: {said['witness']}") if said["witness"] else ()
    for title, key in (("blind to", "blind_spots"), ("also looks like it", "falsepositives")):
        yield from ("", title, *(f"  {shown(line, 500)}" for line in said[key])) if said[key] else ()
    yield from ("", "tests")
    for test in said["tests"]:
        yield f"  {'ok' if test['passed'] else 'FAILED'}: {shown(test['say'])} ({'fires' if test['fires'] else 'silent'})"
    if said["recall"]:
        yield f"  in disguise: {'  '.join(f'{way} {got}' for way, got in said['recall'].items())}"
    yield from ("", "what to do", f"  {shown(' '.join(said['runbook'].split()), 2000)}") if said["runbook"] else ()


def _detectors(base: type[Detector] = Detector) -> Iterator[type[Detector]]:
    shipped = {type(each) for each in ALL}
    return (each for each in base.__subclasses__() if each in shipped or each.__module__.startswith("detectors."))


@click.command("coverage")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def show_coverage(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Say which of OWASP's risks for agents and which ATLAS techniques rules and detectors name: covered, partly, not.

    Covered: three or more name it. It says what is looked for, not how much is found: `lictor evaluate` measures that.
    """
    found = coverage(Rules(paths).all, _detectors())
    if as_json:
        click.echo(json.dumps([{**asdict(each), "how": each.how} for each in found]))
        return
    for each in found:
        named = [*each.detectors, *each.rules]
        click.echo(f"{each.how:<8} {each.tag:<18} {each.title:<44} {len(each.detectors)} detectors, {len(each.rules)} rules"
                   f"{': ' + shown(', '.join(named), 100) if named else ''}")  # fmt: skip
    counts = {how: sum(each.how == how for each in found) for how in ("covered", "partly", "not")}
    click.echo(", ".join(f"{count} {how}" for how, count in counts.items()))


@click.command("fields")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: name → what it says.")
def show_fields(*, as_json: bool) -> None:
    """List what a rule can ask of a step. `arguments.<path>` and `value.origin.<argument>` are asked by name."""
    said = {
        **dict.fromkeys(known_fields.OWN, "the step's own"),
        **known_fields.CONTEXT,
        **dict.fromkeys(known_fields.PUBLIC, "as published rules call it"),
    }
    if as_json:
        click.echo(json.dumps(said))
        return
    for name, about in said.items():
        click.echo(f"{name:<24} {about}")


@click.command()
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("rules"), help="Where rules lie. Default: rules."
)
def new(name: str, folder: Path) -> None:
    """Write a rule to begin with, NAME as family/my-rule: it loads, and its tests pass."""
    path = write_template(name, folder)
    click.echo(f"{path}: written; `lictor rules test {path}` runs its tests")
