"""What of OWASP's risks for agents and of MITRE ATLAS the rules and detectors say they find.

A tag is its author's claim. So `covered` takes three that name a risk, each with tests of its own; detectors count, since
theirs stand in the repository. Nothing here says how much of a risk is found: `lictor evaluate` measures that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from detectors.base import Detector
from detectors.engine.plan import Correlation, Rule

ENOUGH: Final = 3
RISKS: Final = {
    "owasp.asi01": "Agent goal hijack",
    "owasp.asi02": "Tool misuse and exploitation",
    "owasp.asi03": "Identity and privilege abuse",
    "owasp.asi04": "Agentic supply chain vulnerabilities",
    "owasp.asi05": "Unexpected code execution",
    "owasp.asi06": "Memory and context poisoning",
    "owasp.asi07": "Insecure inter-agent communication",
    "owasp.asi08": "Cascading failures",
    "owasp.asi09": "Human-agent trust exploitation",
    "owasp.asi10": "Rogue agents",
    "atlas.aml.t0010": "AI supply chain compromise",
    "atlas.aml.t0011": "User execution",
    "atlas.aml.t0012": "Valid accounts",
    "atlas.aml.t0024": "Exfiltration via AI inference API",
    "atlas.aml.t0025": "Exfiltration via cyber means",
    "atlas.aml.t0029": "Denial of AI service",
    "atlas.aml.t0034": "Cost harvesting",
    "atlas.aml.t0048": "External harms",
    "atlas.aml.t0050": "Command and scripting interpreter",
    "atlas.aml.t0051": "LLM prompt injection",
    "atlas.aml.t0053": "AI agent tool invocation",
    "atlas.aml.t0054": "LLM jailbreak",
    "atlas.aml.t0055": "Unsecured credentials",
    "atlas.aml.t0056": "Extract LLM system prompt",
    "atlas.aml.t0057": "LLM data leakage",
    "atlas.aml.t0070": "RAG poisoning",
    "atlas.aml.t0080": "AI agent context poisoning",
    "atlas.aml.t0081": "Modify AI agent configuration",
    "atlas.aml.t0083": "Credentials from AI agent configuration",
    "atlas.aml.t0085": "Data from AI services",
    "atlas.aml.t0086": "Exfiltration via AI agent tool invocation",
}
"""OWASP's ten for agentic applications, and the techniques of ATLAS that steps of an agent could show."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What names one risk."""

    tag: str
    title: str
    detectors: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def how(self) -> str:
        """`covered`, `partly` or `not`."""
        named = len(self.detectors) + len(self.rules)
        return "covered" if named >= ENOUGH else "partly" if named else "not"


def coverage(rules: Iterable[Rule | Correlation], detectors: Iterable[type[Detector]]) -> list[Covered]:
    """Return every risk with the tested rules and the detectors that name it. A technique counts its sub-techniques in."""
    tagged = [(rule.name or rule.id, rule.about.tags) for rule in rules]
    found = [(f"lictor.{each.name}", each.tags) for each in detectors if each.name != "sigma"]
    return [Covered(tag, title, _naming(tag, found), _naming(tag, tagged)) for tag, title in RISKS.items()]


def _naming(tag: str, named: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    return tuple(
        sorted(name for name, tags in named if any(each == tag or each.startswith(f"{tag}.") for each in tags))
    )
