"""Policies as people write them: a mistake is told with its file and place, and a lower layer only narrows."""

from pathlib import Path
from textwrap import indent

import pytest

from detectors.policy_view import PolicyView
from lictor.policy_file import Policies, load_policies, words
from schemas.errors import BadPolicy
from schemas.policy import ANY_AGENT, AgentPolicy
from schemas.step import Step
from tests.unit.streams._builders import step

HEAD = "version: 3\n"
GRANT = "{id: g, effect: allow, tools: ['*']}"


def load(tmp_path: Path, text: str) -> Policies:
    """Load a policy of this text."""
    path = tmp_path / "policy.yml"
    path.write_text(text, encoding="utf-8")
    return load_policies(path, issued_us=1)


def refusal(tmp_path: Path, text: str) -> str:
    """Return why the policy is refused: one line that names the file."""
    with pytest.raises(BadPolicy) as bad:
        load(tmp_path, text)
    message = str(bad.value)
    assert message.endswith(f"({tmp_path / 'policy.yml'})")
    assert "\n" not in message
    assert bad.value.exit_code == 2
    return message


def agent(body: str) -> str:
    """Return a policy with one agent of this body."""
    return f"{HEAD}agents:\n  bot:\n{indent(body, '    ')}\n"


def call(tool: str, **arguments: object) -> Step:
    """Return a call."""
    return step(1, "tool_call", agent_id="bot", tool=tool, arguments=arguments)


def effect(policy: AgentPolicy, one: Step) -> str:
    """Return what a policy says of a call."""
    return PolicyView(policy).judge(one).effect


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{HEAD}agnets: {{}}", "agnets"),
        (f"{HEAD}defaults: {{moed: ask}}", "defaults.moed"),
        (f"{HEAD}defaults: {{clearance: {{timeout: 5}}}}", "defaults.clearance.timeout"),
        (f"{HEAD}org: {{grant: []}}", "org.grant"),
        (f"{HEAD}org: {{budgets: {{step: 5}}}}", "org.budgets.step"),
        (f"{HEAD}org: {{grants: [{{id: g, effect: allow, tool: ['*']}}]}}", "org.grants.0.tool"),
        (f"{HEAD}org: {{grants: [{{id: g, effect: deny, tools: [x], when: {{a: {{equals: 1}}}}}}]}}", "when.a.equals"),
        (f"{HEAD}teams: {{care: {{budget: {{}}}}}}", "teams.care.budget"),
        (agent("ownr: me"), "agents.bot.ownr"),
        (agent("clearance: {trait: [spends]}"), "agents.bot.clearance.trait"),
        (f"{HEAD}autonomy: [{{id: a, action: stop, severity: high}}]", "autonomy.0.severity"),
        (f"{HEAD}safety: {{protect: []}}", "safety.protect"),
        (f"{HEAD}safety: {{actions: {{stop: {{per_min: 1}}}}}}", "safety.actions.stop.per_min"),
        (f"{HEAD}clocks: {{skew: 1}}", "clocks.skew"),
        (f"{HEAD}bounds: {{traces: 1}}", "bounds.traces"),
    ],
)
def test_a_misspelt_key_is_refused_at_its_place(tmp_path: Path, text: str, place: str) -> None:
    """A rule that was never read would be believed to protect somebody."""
    message = refusal(tmp_path, text)
    assert place in message
    assert "Extra inputs are not permitted" in message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("agents: {}", "version"),
        ("version: 0", "version"),
        ("version: one", "version"),
        (f"{HEAD}identity: maybe", "identity"),
        (f"{HEAD}stop_grace_ms: -1", "stop_grace_ms"),
        (f"{HEAD}defaults: {{mode: off}}", "defaults.mode"),
        (agent("mode: strict"), "agents.bot.mode"),
        (agent("criticality: extreme"), "agents.bot.criticality"),
        (agent(f"owner: {'x' * 600}"), "agents.bot.owner"),
        (agent("traits: {mail.send: [sends]}"), "agents.bot.traits"),
        (f"{HEAD}org: {{budgets: {{cost_usd: .nan}}}}", "org.budgets.cost_usd"),
        (f"{HEAD}org: {{budgets: {{steps: -5}}}}", "org.budgets.steps"),
        (f"{HEAD}org: {{grants: [{{id: g, effect: permit, tools: [x]}}]}}", "org.grants.0.effect"),
        (f"{HEAD}autonomy: [{{id: a, action: shoot}}]", "autonomy.0.action"),
        (f"{HEAD}agents: [bot]", "agents"),
        (f"{HEAD}agents: {{1: {{}}}}", "agents.1"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(tmp_path: Path, text: str, place: str) -> None:
    """A user would be left with a stack trace, or a policy that means something else."""
    assert place in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "just words", "42", "version: [1", "version: 1\n\tx: 2", "{a: b", "version: 2026-13-45"]
)
def test_what_is_no_mapping_in_yaml_is_refused(tmp_path: Path, text: str) -> None:
    """A file of another kind would end in a stack trace."""
    assert "YAML" in (message := refusal(tmp_path, text)) or "must be a mapping" in message


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    """A binary file given by mistake would end in a stack trace."""
    path = tmp_path / "policy.yml"
    path.write_bytes(b"\xff\xfe\x00version: 1")
    with pytest.raises(BadPolicy, match="not YAML"):
        load_policies(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelt path would look like an empty policy."""
    with pytest.raises(BadPolicy, match="cannot read the policy: No such file"):
        load_policies(tmp_path / "none.yml")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "version: !!python/name:os.system"])
def test_yaml_that_would_run_code_is_refused(tmp_path: Path, text: str) -> None:
    """Whoever can propose a policy could run programs as the operator."""
    assert "not YAML" in refusal(tmp_path, text)


def lists(levels: int) -> str:
    """Return lists of lists by alias: nine to the power of `levels` values."""
    lines = [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(["a0: &a0 [x]", *lines])


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        ("effect: narrow, tools: [search]", "says under `narrow` how"),
        ("effect: narrow, models: [m], narrow: {arguments.limit: 10}", "narrow is about tools"),
        ("effect: narrow, tools: [search], narrow: {limit: 10}", "must be an argument, as arguments.x.y"),
        ("effect: allow, tools: [search], narrow: {arguments.limit: 10}", "only effect narrow rewrites"),
        ("effect: narrow, tools: [search], narrow: {arguments.q: {shorten: 3, remove: true}}", "in one way"),
        ("effect: narrow, tools: [search], narrow: {arguments.q: {}}", "in one way"),
    ],
)
@pytest.mark.parametrize("where", ["org", "teams: {ops", "agents: {bot"])
def test_a_grant_that_narrows_nothing_is_refused_with_what_to_write(
    tmp_path: Path, where: str, grant: str, why: str
) -> None:
    """A bound that nobody keeps would look as if it were in force."""
    told = refusal(tmp_path, f"{HEAD}{where}: {{grants: [{{id: cap, {grant}}}]}}{'}' * where.count('{')}")
    assert "grant 'cap'" in told
    assert why in told


BOMBS = {
    "unknown keys": HEAD + lists(30),
    "values that are kept as they are": (
        f"{HEAD}org:\n  grants:\n    - id: g\n      effect: narrow\n      tools: ['*']\n      narrow:\n"
        + indent(lists(30), " " * 8)
    ),
    "merged mappings": HEAD
    + "a0: &a0 {k: v}\n"
    + "\n".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)),
    "an alias to itself": f"{HEAD}org: &a {{grants: [*a]}}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_aliases_without_bound_are_refused_before_they_grow(tmp_path: Path, name: str) -> None:
    """A policy of a kilobyte could hold `lictor up` for hours, or fill its memory when it is published."""
    assert "aliases come to more than" in refusal(tmp_path, BOMBS[name])


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    """A damaged file would end in a stack trace a thousand lines long."""
    assert "nested too deeply" in refusal(tmp_path, f"{HEAD}org: {'[' * 5000}")


def test_honest_aliases_are_taken(tmp_path: Path) -> None:
    """A grant could not be written once and used by two agents."""
    text = f"{HEAD}agents:\n  one: &one\n    grants: [{GRANT}]\n  two:\n    <<: *one\n    owner: me\n"
    found = load(tmp_path, text)
    assert found.of("two").layers[0].grants == found.of("one").layers[0].grants
    assert found.of("two").owner == "me"


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """The second `bot:` would silently replace the first, and its denials with it."""
    message = refusal(tmp_path, f"{HEAD}agents:\n  bot: {{owner: a}}\n  bot: {{owner: b}}\n")
    assert "'bot' stands twice, the second time in line 4" in message


def test_a_team_that_is_not_defined_is_refused(tmp_path: Path) -> None:
    """An agent of a misspelt team would be bound by no team's limits."""
    assert "team 'cares'" in refusal(tmp_path, f"{HEAD}teams: {{care: {{}}}}\nagents: {{bot: {{team: cares}}}}")


@pytest.mark.parametrize("where", ["org", "teams: {care", "agents: {bot"])
def test_grants_of_one_layer_have_ids_of_their_own(tmp_path: Path, where: str) -> None:
    """A finding would name a grant, and nobody could say which of two."""
    close = "}" if "{" in where else ""
    message = refusal(tmp_path, f"{HEAD}{where}: {{grants: [{GRANT}, {GRANT}]}}{close}")
    assert "grant 'g' is defined twice" in message


@pytest.mark.parametrize("names", ["", "tools: [a], models: [b]", "models: [a], agents: [b]", "tools: []"])
def test_a_grant_is_about_one_kind_of_thing(tmp_path: Path, names: str) -> None:
    """A grant about nothing would protect nobody, and one about two things would surprise somebody."""
    comma = ", " if names else ""
    message = refusal(tmp_path, f"{HEAD}org: {{grants: [{{id: g, effect: deny{comma}{names}}}]}}")
    assert "only one of these" in message


@pytest.mark.parametrize("name", ["~x", "a\\tb", "x" * 129, "", "*", "keys"])
def test_a_name_no_agent_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """A policy for `keys` would take the place of the key list, and nobody would believe any order."""
    assert "agents: " in refusal(tmp_path, f'{HEAD}agents: {{"{name}": {{}}}}')


LAYERED = f"""{HEAD}
org:
  budgets: {{steps: 100, tool_calls: 5}}
  traits: {{x.read: [reads_sensitive]}}
  trusted_tools: [clock.now]
  grants: [{{id: most, effect: allow, tools: ["x.*", "y.*"]}}, {{id: never, effect: deny, tools: [x.delete]}}]
teams:
  care:
    budgets: {{steps: 200, cost_usd: 2.5}}
    grants: [{{id: ours, effect: allow, tools: ["x.*"]}}]
agents:
  bot:
    team: care
    budgets: {{steps: 50, cost_usd: 5}}
    grants: [{{id: mine, effect: allow, tools: ["*"]}}]
  free: {{}}
"""


@pytest.mark.parametrize(
    ("tool", "effect_of_bot", "effect_of_free"),
    [
        ("x.read", "allow", "allow"),
        ("y.read", "deny", "allow"),
        ("z.read", "deny", "deny"),
        ("x.delete", "deny", "deny"),
    ],
)
def test_a_lower_layer_only_narrows(tmp_path: Path, tool: str, effect_of_bot: str, effect_of_free: str) -> None:
    """A team could grant its agent what the organisation forbids."""
    found = load(tmp_path, LAYERED)
    assert effect(found.of("bot"), call(tool)) == effect_of_bot
    assert effect(found.of("free"), call(tool)) == effect_of_free


def test_budgets_take_the_lower_bound_of_every_layer(tmp_path: Path) -> None:
    """An agent's owner could raise what the organisation allows it to spend."""
    found = load(tmp_path, LAYERED)
    budgets = found.of("bot").budgets
    assert (budgets.steps, budgets.tool_calls, budgets.cost_usd, budgets.tokens) == (50, 5, 2.5, None)
    assert found.of("free").budgets.steps == 100


def test_agents_that_are_not_named_get_the_organisations_layer_and_count_as_unregistered(tmp_path: Path) -> None:
    """An invented agent would be bound by nothing."""
    found = load(tmp_path, LAYERED)
    anybody = found.of("invented")
    assert (anybody.agent_id, anybody.registered) == (ANY_AGENT, False)
    assert [layer.name for layer in anybody.layers] == ["org"]
    assert found.of("bot").registered


def test_what_an_agent_says_of_its_mode_beats_the_default(tmp_path: Path) -> None:
    """An agent that should only be watched would be held up, or the other way round."""
    found = load(tmp_path, f"{HEAD}defaults: {{mode: enforce}}\nagents: {{a: {{}}, b: {{mode: ask}}}}")
    assert (found.of("a").mode, found.of("b").mode) == ("enforce", "ask")


def test_autonomy_and_safety_come_from_the_default_policy_unless_said(tmp_path: Path) -> None:
    """A policy that only names agents would turn every response off."""
    default = load_policies(None, issued_us=1)
    assert default.rules.autonomy
    assert load(tmp_path, HEAD).rules.autonomy == default.rules.autonomy
    assert load(tmp_path, f"{HEAD}autonomy: []").rules.autonomy == ()
    assert load(tmp_path, f"{HEAD}safety: {{dry_run: true}}").rules.safety.dry_run


def test_the_default_policy_watches_and_holds_up_nothing() -> None:
    """Installing Lictor would stop agents that nobody has described yet."""
    anybody = load_policies(None).of(ANY_AGENT)
    assert (anybody.mode, anybody.layers, anybody.registered) == ("observe", (), False)


def test_the_sample_policy_loads() -> None:
    """The first thing a new user reads would not work."""
    examples = Path(__file__).resolve().parents[3] / "docs" / "examples"
    assert load_policies(examples / "policy.yml").of("invoices").mode == "enforce"


def test_every_word_of_the_word_list_has_known_traits() -> None:
    """A misspelt trait would make tools look harmless."""
    assert load_policies(None).of(ANY_AGENT).words == words()
    assert words()["send"] == ("egress", "irreversible")


def test_the_same_file_gives_the_same_policy(tmp_path: Path) -> None:
    """Every `lictor up` would publish the policy anew, or refuse it as changed."""
    assert load(tmp_path, LAYERED) == load(tmp_path, LAYERED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "org: {grants: [{id: g, effect: deny, tools: [t], when: {argument.x: {eq: 1}}}]}",
            "nothing is called 'argument.x'",
        ),
        ("org: {grants: [{id: g, effect: deny, tools: [t], when: {time.minute: {eq: 1}}}]}", "nothing is called"),
        ("org: {grants: [{id: g, effect: deny, tools: [t], when: {amounts.eur: {gt: 1}}}]}", "that no layer defines"),
        (
            "org: {amounts: {eur: {tools: [t], argument: x}}}\nagents: {bot: {amounts: {eur: {tools: [u], argument: x}}}}",
            "amount 'eur' is defined by org",
        ),
    ],
)
def test_a_condition_on_what_there_is_not_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """A refusal whose condition can never hold would refuse nobody, for one wrong letter."""
    assert why in refusal(tmp_path, HEAD + text)


def test_what_an_agent_says_for_itself_takes_the_place_of_the_defaults(tmp_path: Path) -> None:
    """How a run is stopped, and what leaves its process, could not be said for one agent."""
    path = tmp_path / "policy.yml"
    path.write_text(
        HEAD
        + """
defaults: {mode: ask, stop: {how: drain}, content: {default: full}, heartbeat_s: 5, spool_full_deny: [spends]}
org: {amounts: {eur: {tools: ["pay*"], argument: amount}}}
agents:
  bot:
    stop: {max_other_runs: 3}
    grants: [{id: g, effect: allow, tools: [pay], when: {amounts.eur: {lte: 100}}}]
""",
        encoding="utf-8",
    )
    found = load_policies(path)
    bot, other = found.of("bot"), found.of("somebody")
    assert (bot.stop.max_other_runs, bot.stop.how, other.stop.how) == (3, "now", "drain")
    assert (bot.mode, bot.content.default, bot.heartbeat_s, bot.spool_full_deny) == ("ask", "full", 5, ("spends",))
    assert bot.amounts["eur"].argument == "amount"
