"""What every rung of the ladder promises, and that whatever is found can be acted on."""

import itertools
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.inspect import ALL
from lictor.policy_file import load_policies
from responders import LADDER
from responders.base import Proof, Reach, Responder
from responders.casebook import Casebook
from responders.cases import decode_case, encode_case
from responders.limits import Limiter
from schemas.command import Command, CommandAction, Target
from schemas.containment import Containment
from schemas.message import Message
from schemas.receipt import Layer, Status
from tests.contract.judging import Arrival, arrivals, told
from tests.unit.builders import NOW, a_command, a_receipt, a_rule_book
from tests.unit.strategies import examples, texts

RUNGS = pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.layer)
ACTIONS = get_args(CommandAction)


@RUNGS
def test_a_rung_says_what_it_does_needs_and_how_it_is_undone(rung: Responder) -> None:
    """Nobody could tell which orders hold where, and how to take them back."""
    assert rung.layer in get_args(Layer)
    assert rung.handles
    assert rung.handles <= set(ACTIONS)
    assert rung.reach in get_args(Reach)
    assert rung.needs.endswith(".")
    assert set(rung.undone_by) <= rung.handles
    assert set(rung.undone_by.values()) <= {*ACTIONS, "restart"}
    assert (type(rung).__doc__ or "").strip()


def test_no_two_rungs_answer_for_the_same_layer() -> None:
    """A receipt could be taken for that of another rung."""
    assert len({rung.layer for rung in LADDER}) == len(LADDER)


@RUNGS
@pytest.mark.parametrize("action", ACTIONS)
def test_a_rung_carries_out_what_it_says_and_refuses_the_rest(rung: Responder, action: CommandAction) -> None:
    """An order would count as given although nobody carries it out."""
    refused = rung.refuse(a_command(action))
    assert (refused is None) is (action in rung.handles)
    assert refused is None or refused.isprintable()


@RUNGS
@examples(40)
@given(
    action=st.sampled_from(ACTIONS),
    target=st.builds(Target, agent_id=texts(9), run_id=texts(9), step_id=texts(9), digest=texts(9)),
    arguments=st.dictionaries(texts(5), texts(5), max_size=2),
    epoch=st.integers(0, 1 << 62),
)
def test_no_order_makes_a_rung_fail(rung: Responder, action: Any, target: Target, arguments: Any, epoch: int) -> None:
    """One odd order would end the worker that climbs the ladder."""
    refused = rung.refuse(a_command(action, target=target, arguments=arguments, epoch=epoch))
    assert refused is None or refused


@RUNGS
def test_only_a_reaped_exit_status_is_proof(rung: Responder) -> None:
    """A kill would be closed by the word of the agent that was to be killed."""
    for layer, status, ended in itertools.product(get_args(Layer), get_args(Status), (None, 0, 1, -9)):
        proof = rung.proof(a_receipt("c", layer=layer, status=status, exit_status=ended))
        assert proof in get_args(Proof)
        reaped = layer == "supervisor" and status == "effective" and ended is not None
        assert (proof == "proven") is (reaped and rung.layer == "supervisor")


@RUNGS
def test_a_rung_speaks_of_its_own_receipts_only(rung: Responder) -> None:
    """Two rungs would each claim the other's success."""
    others = [layer for layer in get_args(Layer) if layer != rung.layer]
    assert {rung.proof(a_receipt("c", layer=layer, exit_status=0)) for layer in others} == {""}


@examples(40)
@given(came=arrivals(), harsh=st.booleans())
def test_whatever_is_found_can_be_acted_on(came: list[Arrival], harsh: bool) -> None:
    """One hostile step would end the worker that is to stop its run."""
    rules = a_rule_book() if harsh else load_policies(issued_us=1).rules
    book = Casebook(LADDER, Limiter(), {})
    for finding in (found for each in told(came, ALL) for found in each):
        out = book.on_finding(finding, rules, NOW)
        assert all(type(message).read(message.value()) == message for message in out)
        assert finding.identity == "marked" or not _orders(out)
        case = book.cases[finding.agent_id]
        assert decode_case(encode_case(case)) == case


def _orders(out: list[Message]) -> list[Message]:
    return [message for message in out if isinstance(message, Command | Containment)]
