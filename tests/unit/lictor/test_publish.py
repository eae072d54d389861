"""A policy is published when it is newer, refused when it only looks so, and withdrawn by name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lictor.keys import OPERATOR, Keys
from lictor.policy_file import Policies
from lictor.publish import _is_newer, _list_if_newer, _same, _withdrawn, believed
from lictor.settings import Settings
from schemas.errors import BadPolicy
from schemas.keys import KEY_LIST
from schemas.message import Message
from schemas.policy import ANY_AGENT, AgentPolicy
from streams.records import signed
from streams.topics import Topics
from tests.unit.streams._builders import NOW_MS, Read, World, policy, rules

TOPICS = Topics("t")
ANYBODY = policy(ANY_AGENT, registered=False, mode="observe", layers=())


def in_force(world: World, message: Message, key: str = "bot") -> Read:
    """Return a record as it stands on its topic."""
    topic = world.topics.policies if isinstance(message, AgentPolicy) else world.topics.rules
    return world.signed(topic, key, message, "person")


def withdrawn(
    world: World, *known: tuple[str, bytes], named: tuple[AgentPolicy, ...] = ()
) -> list[tuple[str, Message]]:
    """Return what is published for agents that the file does not name."""
    topic = world.topics.policies
    records = {(topic.name, key): world.read(topic, key, value) for key, value in known}
    return _withdrawn(records, topic.name, Policies((*named, ANYBODY), rules()))


@pytest.mark.parametrize("message", [policy("bot"), rules(1)], ids=["policy", "rules"])
def test_what_is_not_there_is_published(message: Message) -> None:
    """A first `lictor up` would leave every agent without a policy."""
    assert _is_newer(message, None)


@pytest.mark.parametrize("make", [lambda version: policy("bot", version), rules], ids=["policy", "rules"])
def test_the_same_content_is_published_only_under_a_higher_number(make: Callable[[int], Message]) -> None:
    """Every restart would publish everything anew."""
    world = World()
    known = in_force(world, make(3))
    assert [_is_newer(make(version), known) for version in (2, 3, 4)] == [False, False, True]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_other_content_under_a_number_that_was_used_is_refused(version: int) -> None:
    """Two policies would share a number, and nobody could say which was in force."""
    known = in_force(World(), policy("bot", 3, owner="a"))
    with pytest.raises(BadPolicy, match=f"`version: {version}` does not rise above 3") as bad:
        _is_newer(policy("bot", version, owner="b"), known)
    assert bad.value.exit_code == 2


def test_other_content_under_a_higher_number_is_published() -> None:
    """A changed policy would never come into force."""
    assert _is_newer(policy("bot", 4, owner="b"), in_force(World(), policy("bot", 3, owner="a")))


def test_the_number_and_the_moment_do_not_make_a_difference() -> None:
    """A policy would look changed because it was loaded a second later."""
    assert _same(policy("bot", 1), policy("bot", 2).model_copy(update={"issued_us": 9}))
    assert not _same(policy("bot"), policy("bot", owner="b"))


def test_an_agent_that_is_no_longer_named_gets_what_anybody_gets() -> None:
    """An agent removed from the file would keep all its grants."""
    known = policy("bot", 7)
    ((key, fresh),) = withdrawn(World(), ("bot", known.value()))
    assert isinstance(fresh, AgentPolicy)
    assert (key, fresh.agent_id, fresh.version) == ("bot", "bot", 8)
    assert (fresh.mode, fresh.layers, fresh.registered) == ("observe", (), False)


def test_agents_that_are_named_and_the_key_list_are_left_alone() -> None:
    """Enrolled agents would lose their grants, or everybody the key list, at every start."""
    world = World()
    known = [("bot", policy("bot").value()), (ANY_AGENT, ANYBODY.value()), (KEY_LIST, world.keys().value())]
    assert withdrawn(world, *known, named=(policy("bot"),)) == []


def test_an_agent_is_withdrawn_once() -> None:
    """The policies topic would grow with every start."""
    world = World()
    ((key, fresh),) = withdrawn(world, ("bot", policy("bot", 7).value()))
    assert withdrawn(world, (key, fresh.value())) == []


@pytest.fixture
def made(tmp_path: Path) -> Keys:
    """Return real keys on disk."""
    keys = Keys(tmp_path / "keys")
    keys.make()
    return keys


def published(keys: Keys, message: Message, key: str, role: str = f"people/{OPERATOR}") -> Read:
    """Return a record as the owner of these keys publishes it."""
    topic = TOPICS.policies if isinstance(message, AgentPolicy) else TOPICS.rules
    output = signed(topic, key, message, keys.signer(role))
    return Read(output.topic, 0, 0, NOW_MS, key.encode(), output.value, tuple(output.headers))


def test_what_the_operator_signed_is_in_force(made: Keys) -> None:
    """Every start would publish everything again."""
    records = [published(made, policy("bot"), "bot"), published(made, rules(), "book")]
    assert set(believed(records, made, TOPICS)) == {("t.policies", "bot"), ("t.rules", "book")}


@pytest.mark.parametrize("value", [None, b"", b"{", b"{}", b"null", policy("bot", 999).value()])
def test_what_nobody_signed_is_not_in_force(made: Keys, value: bytes | None) -> None:
    """Whoever can write to the topic could keep Lictor from starting, or a new policy out, with one record."""
    forged = Read(TOPICS.policies.name, 0, 1, NOW_MS, b"bot", value)
    assert believed([published(made, policy("bot"), "bot"), forged], made, TOPICS) == {}


@pytest.mark.parametrize("role", ["detect", "respond", "audit", "supervisor"])
def test_what_a_machines_key_signed_is_not_in_force(made: Keys, role: str) -> None:
    """A worker that was broken into could put a policy of its own in force."""
    assert believed([published(made, policy("bot", 999), "bot", role)], made, TOPICS) == {}


def test_what_a_revoked_key_signed_is_published_again_by_another(made: Keys) -> None:
    """After a key is revoked no worker would believe the policies that stand."""
    made.add_person("bob", ("policy",))
    record = published(made, policy("bot"), "bot", "people/bob")
    assert believed([record], made, TOPICS)
    made.revoke(made.signer("people/bob").key_id)
    assert believed([record], made, TOPICS) == {}


def test_a_signed_record_of_no_known_shape_is_not_in_force(made: Keys) -> None:
    """A record of a later version would end `lictor up` in an error."""
    headers = made.signer(f"people/{OPERATOR}").seal(TOPICS.policies.name, "bot", "policy", b"{}")
    assert believed([Read(TOPICS.policies.name, 0, 0, NOW_MS, b"bot", b"{}", tuple(headers))], made, TOPICS) == {}


def test_only_the_root_keys_list_is_in_force(made: Keys) -> None:
    """A forged list with a high version would keep the true one out for good."""
    output = made.signed_list(TOPICS)
    record = Read(output.topic, 0, 0, NOW_MS, KEY_LIST.encode(), output.value, tuple(output.headers))
    assert set(believed([record], made, TOPICS)) == {("t.policies", KEY_LIST)}
    assert believed([Read(output.topic, 0, 0, NOW_MS, KEY_LIST.encode(), output.value)], made, TOPICS) == {}


def test_the_key_list_is_published_when_it_is_newer(made: Keys, tmp_path: Path) -> None:
    """A revoked key would stay good, or every start publish the list again."""
    settings = Settings(home=tmp_path)
    (output,) = _list_if_newer(None, made, settings)
    known = Read(output.topic, 0, 0, NOW_MS, KEY_LIST.encode(), output.value)
    assert _list_if_newer(known, made, settings) == []
    made.revoke(made.key_list().keys[0].key_id)
    assert len(_list_if_newer(known, made, settings)) == 1
