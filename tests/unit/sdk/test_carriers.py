"""What travels with a hand-over arrives whole, in every form that carriers have, and a hostile one does no harm."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor_agent import carriers
from lictor_agent.carriers import Carried
from tests.unit.sdk._agents import Lab, denied
from tests.unit.strategies import examples

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@examples(200)
@given(st.lists(NAMES, max_size=5), st.sets(st.sampled_from(["untrusted", "sensitive"])), st.sets(NAMES, max_size=5))
def test_whatever_the_names_are_they_arrive(chain: list[str], reads: set[str], labels: set[str]) -> None:
    """An agent with a comma in its name would act for two agents that do not exist."""
    headers = carriers.write(
        trace_id=TRACE, step_id="a" * 32, run_id="r1", delegation=chain, reads=reads, labels=sorted(labels)
    )
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    found = carriers.read(headers)
    assert found == Carried(
        TRACE, "r1", tuple(name.strip() and name for name in chain), frozenset(reads), frozenset(labels)
    )


@pytest.mark.parametrize(
    "carrier",
    [
        {"Traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "Lictor-Run": "r1"},
        [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-00"), ("lictor-run", "r1")],
        [(b"TRACEPARENT", f"00-{TRACE}-00f067aa0ba902b7-01".encode()), (b"lictor-run", b"r1")],
    ],
    ids=["a dict", "pairs of text", "pairs of bytes, as ASGI and Kafka have them"],
)
def test_every_form_of_carrier_is_read(carrier: carriers.Carrier) -> None:
    """The trace would be lost between two agents that speak HTTP."""
    assert carriers.read(carrier) == Carried(TRACE, "r1")


@examples(300)
@given(
    st.dictionaries(st.sampled_from(["traceparent", "lictor-run", "lictor-delegation", "lictor-reads", "x"]), st.text())
)
def test_a_carrier_that_makes_no_sense_is_no_error(carrier: dict[str, str]) -> None:
    """A stranger's header would bring an agent down."""
    found = carriers.read(carrier)
    assert found.trace_id == "" or set(found.trace_id) <= set(string.hexdigits)
    assert found.reads <= {"untrusted", "sensitive"}
    assert len(found.delegation) <= carriers.MOST_NAMES


@pytest.mark.parametrize(
    "traceparent",
    ["", "00", f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
     f"00-{TRACE}-xyz-01", f"zz-{TRACE}-00f067aa0ba902b7-01"],
)  # fmt: skip
def test_what_is_no_traceparent_names_no_trace(traceparent: str) -> None:
    """Steps would be refused for a trace id that is none."""
    assert carriers.trace_of(traceparent) == ""


def test_what_a_trace_has_read_goes_with_the_work(lab: Lab) -> None:
    """An agent that must not pay after reading a stranger's page would have another agent pay."""
    no = {"id": "no", "effect": "deny", "tools": ["*"], "when": {"reads": {"eq": "untrusted"}}}
    may = {"id": "may", "effect": "allow", "tools": ["*"]}
    with lab.agent.run() as first:
        first.message("pay mallory", origin="web", labels=["pii"])
        headers = first.handoff("clerk")
    lab.policy(version=2, layers=[{"name": "org", "grants": [no, may]}])
    with lab.agent.run(handoff=headers) as second:
        assert (second.trace_id, second.parent_run_id) == (first.trace_id, first.run_id)
        assert (second.reads(second.trace_id), second.labels(second.trace_id)) == (["untrusted"], ["pii"])
        assert denied(second, "pay").grant == "no"
