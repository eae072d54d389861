"""Dangerous combinations are found wherever grants and hand-overs bring them together, and what closes them does."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor.hitting import smallest
from lictor.policy_chains import Graph
from lictor.policy_history import Edge
from lictor.policy_reach import MOST_WAYS, emptied, reaches
from lictor.policy_risk import Risk, exposures, risks
from schemas.policy import ANY_AGENT, AgentPolicy, Grant, Layer, Test
from tests.unit.strategies import examples

WEB, CRM, SEND, RUN, PAY = "web.get", "crm.read", "mail.send", "shell.exec", "pay"
TRAITS: dict[str, Any] = {
    WEB: ("reads_untrusted",), CRM: ("reads_sensitive",), SEND: ("egress",), RUN: ("executes_code",), PAY: ("spends",),
}  # fmt: skip
TOOLS = tuple(TRAITS)
UNTRUSTED = {"reads": Test(eq="untrusted")}


def grant(name: str, *tools: str, effect: Any = "allow", **more: Any) -> Grant:
    """Return a grant."""
    return Grant(id=name, effect=effect, tools=tools, **more)


def agent(name: str, *grants: Grant, mode: Any = "enforce", org: tuple[Grant, ...] = ()) -> AgentPolicy:
    """Return the policy of an agent, whose calls never wait for clearance."""
    found = (Layer(name="org", grants=org), Layer(name=f"agent {name}", grants=grants))
    layers = tuple(layer for layer in found if layer.grants)
    clearance = {"traits": ()}
    said = {"agent_id": name, "version": 1, "issued_us": 1, "mode": mode, "layers": layers, "clearance": clearance}
    return AgentPolicy.model_validate({**said, "traits": TRAITS, "registered": name != ANY_AGENT})


def graph(*policies: AgentPolicy, edges: Iterable[Edge] = (), known: dict[str, tuple[str, ...]] | None = None) -> Graph:
    """Return the graph of agents."""
    named = {policy.agent_id: policy for policy in policies}
    return Graph(reaches(named, known or {}, agent(ANY_AGENT, mode="observe")), tuple(edges))


def told(found: Iterable[Risk]) -> set[tuple[str, str]]:
    """Return kind and agent of each risk."""
    return {(risk.kind, risk.agent) for risk in found}


def test_three_rights_in_one_agent_are_told_with_path_and_the_least_to_take_away() -> None:
    """The agent that any web page can turn against its owner would look like all others."""
    (risk,) = risks(graph(agent("a", grant("read", WEB, CRM), grant("send", SEND), grant("pay", PAY))))
    assert [(hop.tool, hop.trait) for hop in risk.path] == [
        (WEB, "reads_untrusted"),
        (CRM, "reads_sensitive"),
        (SEND, "egress"),
    ]
    assert risk.closing is not None
    assert (risk.closing.members, risk.closing.exact) == (("agent a: grant read",), True)
    assert risk.or_else == (("agent a: grant send",),)


@pytest.mark.parametrize(
    "more",
    [
        [grant("no-send", SEND, effect="deny", when=UNTRUSTED)],
        [grant("no-crm", CRM, effect="deny", when=UNTRUSTED), grant("no-web", WEB, effect="deny",
                                                                  when={"reads": Test(eq="sensitive")})],
        [grant("no-web", "web.*", effect="deny")],
        [grant("ask-first", SEND, effect="ask")],
    ],
    ids=["no sending after strangers", "never both", "no web", "a person agrees"],
)  # fmt: skip
def test_a_refusal_that_breaks_the_combination_closes_it(more: list[Grant]) -> None:
    """Whoever has done his work well would be told to do it again, and stop reading."""
    assert told(risks(graph(agent("a", grant("all", WEB, CRM, SEND), *more)))) == set()


@pytest.mark.parametrize(
    "more",
    [
        grant("no-send", SEND, effect="deny", when={"arguments.to": Test(eq="x")}),
        grant("no-send", SEND, effect="deny", when={"reads": Test(eq="untrusted"), "principal": Test(eq="x")}),
        grant("no-crm", CRM, effect="deny", when=UNTRUSTED),
    ],
    ids=["one recipient", "one principal", "one order"],
)
def test_a_refusal_that_breaks_only_some_of_it_does_not(more: Grant) -> None:
    """A hole that is half closed would be shown as closed."""
    assert told(risks(graph(agent("a", grant("all", WEB, CRM, SEND), more)))) == {("exfiltration", "a")}


def test_code_after_untrusted_content_is_a_risk_of_its_own() -> None:
    """A page could run a program, and nobody be told that it can."""
    found = risks(graph(agent("a", grant("work", WEB, RUN))))
    assert told(found) == {("untrusted_code", "a")}
    assert told(risks(graph(agent("a", grant("work", RUN))))) == set()


def test_what_waits_for_clearance_is_told_apart() -> None:
    """What is judged before it happens would be ranked like what is not."""
    held = agent("a", grant("all", WEB, CRM), grant("send", SEND, effect="clear"))
    open_ = agent("b", grant("all", WEB, CRM, SEND))
    found = risks(graph(held, open_))
    assert [(risk.agent, risk.waits) for risk in found] == [("b", False), ("a", True)]
    assert [(one.agent, one.open, one.waiting) for one in exposures(graph(held, open_), found, {})] == [
        ("b", 1, 0),
        ("a", 0, 1),
    ]


def test_rights_spread_over_agents_that_hand_work_over_are_put_together() -> None:
    """Each agent would look harmless, and together they carry the data out."""
    agents = (agent("a", mode="observe"), agent("b", grant("r", WEB, CRM)), agent("c", grant("s", SEND)))
    edges = [Edge("a", "b", 3), Edge("a", "c", 1)]
    found = [risk for risk in risks(graph(*agents, edges=edges)) if risk.kind == "exfiltration"]
    assert told(found) == {("exfiltration", "a")}
    assert [hop.chain for hop in found[0].path] == [("a", "b"), ("a", "b"), ("a", "c")]
    assert found[0].closing is not None
    assert len(found[0].closing.members) == 1
    assert told(risks(graph(*agents))) == set()


def test_delegated_work_has_the_rights_of_all_in_the_chain() -> None:
    """An agent that is held would be accused of what its policy refuses to those who act for it."""
    holder = agent("b", grant("p", PAY))
    edges = [Edge("a", "b", 3)]
    held = agent("a", grant("w", WEB))
    assert told(risks(graph(held, holder, edges=edges))) == set()
    unheld = agent("a", mode="observe")
    (gain,) = risks(graph(unheld, holder, edges=edges))
    assert (gain.kind, gain.agent, gain.traits) == ("gained", "a", ("spends",))
    assert gain.path[0].chain == ("a", "b")
    assert gain.closing is not None


def test_a_chain_that_was_seen_to_lose_its_names_prevents_nothing() -> None:
    """Work that arrives without saying for whom is done with all the rights of the one who does it."""
    agents = (agent("a", grant("w", WEB)), agent("b", grant("p", PAY)))
    (gain,) = risks(graph(*agents, edges=[Edge("a", "b", 3, unnamed=2)]))
    assert gain.kind == "gained"
    assert gain.closing is not None
    assert gain.closing.members[0] in ("agent a: grant w", "agent b: acts without naming a", "agent b: grant p")


def test_agents_that_nothing_holds_up_come_first() -> None:
    """The first thing to do would stand last."""
    loose = agent("loose", mode="observe")
    agents = graph(loose, agent("held", grant("w", WEB, RUN)), known={"loose": (WEB, RUN)})
    ranked = exposures(agents, risks(agents), {"held": "process"})
    assert [(one.agent, one.enforcement) for one in ranked] == [("loose", "none"), ("held", "process")]
    (first, *_) = risks(graph(loose, known={"loose": (WEB, RUN)}))
    assert first.closing is not None
    assert first.closing.members == ("agent loose: mode observe",)


def test_a_hand_over_that_a_policy_refuses_is_no_path() -> None:
    """A path that was closed long ago would be told for as long as the history goes back."""
    refusing = agent("a", Grant(id="none", effect="deny", agents=("*",)))
    assert told(risks(graph(refusing, agent("b", grant("p", PAY)), edges=[Edge("a", "b", 1)]))) == set()


def test_so_many_ways_that_not_all_are_looked_at_are_still_closed_and_said() -> None:
    """A policy of many overlapping grants would stop the command, or be told less than the truth."""
    many = tuple(grant(f"g{at}", WEB, RUN) for at in range(MOST_WAYS))
    (risk,) = risks(graph(agent("a", *many, org=many[:9])))
    assert risk.closing is not None
    assert not risk.closing.exact
    assert len(risk.closing.members) == 9


SETS = st.lists(st.frozensets(st.sampled_from("abcdefg"), min_size=1, max_size=4), max_size=8)


@given(SETS)
@examples(200)
def test_what_closes_is_as_small_as_can_be(sets: list[frozenset[str]]) -> None:
    """More would be taken from an agent than has to be."""
    found = smallest(sets)
    assert found is not None
    assert found.exact
    assert all(one & set(found.members) for one in sets)
    fewer = combinations("abcdefg", len(found.members) - 1) if found.members else ()
    assert not any(all(one & set(chosen) for one in sets) for chosen in fewer)


def test_too_many_sets_are_hit_greedily_and_that_is_said() -> None:
    """A large policy would keep the command busy for hours."""
    sets = [frozenset(pair) for pair in combinations([f"m{at:02}" for at in range(40)], 2)]
    found = smallest(sets)
    assert found is not None
    assert not found.exact
    assert all(one & set(found.members) for one in sets)


GRANTS = st.builds(
    lambda at, tools, effect, when: grant(f"g{at}", *tools, effect=effect, when=when),
    st.integers(0, 10**6),
    st.lists(st.sampled_from([*TOOLS, "*"]), min_size=1, max_size=3, unique=True),
    st.sampled_from(["allow", "allow", "allow", "clear", "deny"]),
    st.sampled_from([{}, {}, UNTRUSTED, {"reads": Test(none_of=("untrusted",))}, {"arguments.x": Test(eq=1)}]),
)
NAMES = ("a", "b", "c")
LAYERS = st.lists(GRANTS, max_size=3, unique_by=lambda one: one.id)
POLICIES = st.tuples(st.sampled_from(["observe", "enforce", "enforce"]), LAYERS)
EDGES = st.lists(
    st.builds(Edge, st.sampled_from(NAMES), st.sampled_from(NAMES), st.just(1), st.integers(0, 1)),
    max_size=3,
    unique_by=lambda edge: (edge.giver, edge.taker),
)


@given(st.lists(POLICIES, min_size=3, max_size=3), LAYERS, EDGES)
@examples(150)
def test_what_is_said_to_close_a_risk_closes_it(made: list[Any], org: list[Grant], edges: list[Edge]) -> None:
    """Rights would be taken from an agent, and the hole be there as before."""
    agents = [agent(name, *own, mode=mode, org=tuple(org)) for name, (mode, own) in zip(NAMES, made, strict=True)]
    known = dict.fromkeys(NAMES, (WEB, CRM))
    whole = graph(*agents, edges=edges, known=known)
    for risk in risks(whole):
        members = set(risk.closing.members) if risk.closing else set()
        assert members
        for chosen in (members, *map(set, risk.or_else)):
            refuse = emptied(whole.agents.values(), chosen)
            closed = [_without(one, chosen, refuse) for one in agents]
            left = risks(graph(*closed, edges=_edges(edges, chosen), known=known))
            assert (risk.kind, risk.agent, risk.path) not in {(other.kind, other.agent, other.path) for other in left}


def _without(policy: AgentPolicy, members: set[str], refuse: tuple[str, ...]) -> AgentPolicy:
    """Return the policy with what was named taken away: grants are gone, mode enforces, hand-overs are denied."""
    name = policy.agent_id
    nothing = (grant("nothing", "*", effect="deny"),)
    layers = tuple(
        Layer(name=layer.name, grants=kept + (nothing if layer.name in refuse else ()))
        for layer in policy.layers
        for kept in (tuple(one for one in layer.grants if f"{layer.name}: grant {one.id}" not in members),)
    )
    denied = tuple(other for other in NAMES if f"hand-over {name} → {other}" in members)
    if denied:
        layers = (*layers, Layer(name="handed", grants=(Grant(id="none", effect="deny", agents=denied),)))
    if f"agent {name}: no grants of its own" in members:
        layers = (*layers, Layer(name="own", grants=(grant("nothing", "*", effect="deny"),)))
    mode = "enforce" if f"agent {name}: mode observe" in members else policy.mode
    return policy.model_copy(update={"layers": layers, "mode": mode})


def _edges(edges: list[Edge], members: set[str]) -> list[Edge]:
    def kept(edge: Edge) -> Edge:
        named = f"agent {edge.taker}: acts without naming {edge.giver}" in members
        return Edge(edge.giver, edge.taker, edge.traces, 0 if named else edge.unnamed)

    return [kept(edge) for edge in edges]
