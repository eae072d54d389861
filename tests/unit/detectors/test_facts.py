"""What every worker knows."""

from detectors.facts import Facts
from schemas.policy import ANY_AGENT
from tests.unit.builders import AGENT, NOW, RUN, TRACE, a_policy, a_receipt


def test_an_agent_nobody_named_has_the_policy_for_any() -> None:
    """An agent that was never enrolled would be judged by no policy at all."""
    facts = Facts()
    assert facts.policy_of("x").policy.registered is False
    assert facts.take_policy(a_policy(agent_id=ANY_AGENT, mode="ask", registered=False))
    assert facts.take_policy(a_policy(mode="enforce"))
    assert facts.policy_of("x").policy.mode == "ask"
    assert facts.policy_of(AGENT).policy.mode == "enforce"


def test_only_a_newer_policy_takes_force() -> None:
    """Replaying last year's policy would give back what was taken away."""
    for agent_id in (AGENT, ANY_AGENT):
        facts = Facts()
        taken = [facts.take_policy(a_policy(agent_id=agent_id, version=version)) for version in (2, 1, 2, 3)]
        assert taken == [True, False, False, True]
        assert facts.policy_of(agent_id).policy.version == 3


def test_a_stop_is_remembered_as_first_ordered() -> None:
    """A second order would give a stopped run a new grace."""
    facts = Facts()
    facts.take_stop(AGENT, RUN, "c1", NOW)
    facts.take_stop(AGENT, RUN, "c2", NOW + 5)
    assert facts.stopped[AGENT, RUN].command_id == "c1"
    assert facts.stopped[AGENT, RUN].ordered_us == NOW


def test_a_receipt_counts_for_its_own_stop_only() -> None:
    """A run could answer another order and so excuse its steps."""
    facts = Facts()
    facts.take_stop(AGENT, RUN, "c1", NOW)
    for stray in (a_receipt("c2"), a_receipt("c1", run_id="other"), a_receipt("c1", layer="supervisor")):
        facts.take_receipt(stray, NOW)
    assert facts.stopped[AGENT, RUN].last_seq is None
    facts.take_receipt(a_receipt("c1", last_seq={TRACE: 7}), NOW + 9)
    assert facts.stopped[AGENT, RUN].last_seq == {TRACE: 7}
    assert facts.stopped[AGENT, RUN].effective_us == NOW + 9
