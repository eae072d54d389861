"""How the demo reads: a timeline while it runs, then the proof."""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lictor.demo.run import Outcome
from lictor.demo.timeline import Line

_COLOURS: Final = {
    "step": "dim",
    "finding": "bold red",
    "decision": "bold yellow",
    "command": "bold magenta",
    "receipt": "bold green",
    "refused": "bold red",
}


class Screen:
    """Writes for people: to stdout, coloured only on a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began_us = 0
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def component(self, name: str, what: str) -> None:
        """Show what became of a component."""
        with self._lock:
            self.console.print(
                f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {escape(name):<9} {escape(what)}", highlight=False
            )

    def line(self, line: Line) -> None:
        """Show one line of the timeline."""
        with self._lock:
            self._began_us = self._began_us or line.time_us
            style = _COLOURS[line.kind] if line.grave or line.kind != "step" else "default"
            at_ms = (line.time_us - self._began_us) / 1000
            who = f"{line.agent_id[:9]:<9}"
            self.console.print(
                f"{at_ms:7.0f} ms  {escape(who)} [{style}]{line.kind:<8}[/] {escape(line.text)}", highlight=False
            )

    def ask(self, title: str) -> None:
        """Show a heading."""
        self.console.print(f"\n[bold]{escape(title)}[/]")

    def proof(self, outcome: Outcome) -> None:
        """Show the proof, from ClickHouse."""
        self.ask("The proof, from ClickHouse")
        for question, names, rows in outcome.proofs:
            self.console.print(f"\n{escape(question)}")
            print_table(self.console, names, rows)
        self._verdict(outcome)

    def _verdict(self, outcome: Outcome) -> None:
        times = outcome.step_to_stop_ms
        stopped = (
            f"{times['p50']:.1f} ms after the bad step was handed over, the run could do nothing more." if times else ""
        )
        if not outcome.detect:
            says = "WITHOUT detect the attack SUCCEEDED: the customer list is at the stranger's portal."
            says = says if outcome.attack_completed else "The attack did not succeed, although nothing was watching."
        elif outcome.attack_completed:
            says = "The attack SUCCEEDED: it was not stopped in time."
        else:
            says = f"The attack was stopped before anything of value left. {stopped}"
        self.ask(says)
        self.console.print(
            f"{outcome.steps_published} steps published, {outcome.steps_archived} in ClickHouse; "
            f"findings: {outcome.findings}, orders: {outcome.commands}, runs stopped and their process reaped: "
            f"{outcome.runs_stopped}, steps after the stop: {outcome.steps_after_stop}, honest runs stopped: "
            f"{outcome.honest_runs_stopped}.",
            highlight=False,
        )


def print_table(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows: on a terminal as a table for people, else one line a row, tabs between, nothing cut."""
    text = [["" if value is None else clean(str(value)) for value in row] for row in rows]
    if not console.is_terminal:
        for line in ([clean(name) for name in names], *text):
            console.file.write("\t".join(line).replace("\n", " ") + "\n")
        return
    found = Table(*[escape(clean(name)) for name in names], header_style="bold")
    for row in text:
        found.add_row(*map(escape, row))
    console.print(found)


def clean(text: str) -> str:
    """Return text of an agent without anything that could move the cursor."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "·" for letter in text)
