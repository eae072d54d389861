"""What a worker believes of the broadcast topics: signed by who may, newer than what it knows, and nothing else."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.command import CommandAction
from schemas.containment import Containment, Order
from schemas.keys import KeyList
from schemas.liveness import Liveness
from schemas.message import Message
from schemas.policy import ANY_AGENT
from schemas.receipt import Receipt
from schemas.rule_bundle import BUNDLE_KEY, RuleBundle
from schemas.seal import MARK, agent_key, mark
from schemas.taint import Taint
from streams.knowledge import MAX_UNBELIEVED, Knowledge
from streams.topics import Topic
from tests.unit.streams._builders import AGENT, NOW_MS, RUN, TRACE, Read, World, policy, rules

OTHER = "support-bot"


def containment(epoch: int, *orders: Order, agent_id: str = AGENT) -> Containment:
    """Return the orders that stand."""
    return Containment(agent_id=agent_id, epoch=epoch, orders=orders, time_us=1)


def order(action: CommandAction = "stop", run_id: str = RUN, command_id: str = "c-1") -> Order:
    """Return an order of some time ago."""
    return Order(command_id=command_id, action=action, run_id=run_id, since_us=5)


def receipt(**fields: Any) -> Receipt:
    """Return what a stopped run says of itself."""
    base = {
        "receipt_id": "r",
        "command_id": "c-1",
        "agent_id": AGENT,
        "run_id": RUN,
        "layer": "sdk",
        "status": "effective",
    }
    return Receipt.model_validate({**base, "last_seq": {TRACE: 7}, "time_us": 1, **fields})


def marked(world: World, message: Receipt, agent_id: str = AGENT) -> Read:
    """Return a receipt with the mark of an agent's own key."""
    topic, value = world.topics.receipts, message.value()
    own = mark(agent_key(world.master, agent_id), topic.name, AGENT, Receipt.type, value)
    return world.read(topic, AGENT, value, [(MARK, own)])


def sent(world: World, name: str, role: str = "", **place: int) -> Read:
    """Return one record of each broadcast topic, signed by a role's key; "" leaves it unsigned."""
    liveness = Liveness(component="respond", instance="i", time_us=1)
    messages: dict[str, tuple[Topic, str, Message]] = {
        "policy": (world.topics.policies, AGENT, policy()),
        "rules": (world.topics.rules, "book", rules(7)),
        "containment": (world.topics.containment, AGENT, containment(1, order())),
        "receipt": (world.topics.receipts, AGENT, receipt()),
        "liveness": (world.topics.liveness, "respond/i", liveness),
    }
    topic, key, message = messages[name]
    return (
        world.signed(topic, key, message, role, **place) if role else world.read(topic, key, message.value(), **place)
    )


def taken(know: Knowledge, name: str) -> bool:
    """Tell whether the record of `sent` is in force."""
    stop = know.facts.stopped.get((AGENT, RUN))
    return {
        "policy": AGENT in know.facts.policies,
        "rules": know.facts.rules.version == 7,
        "containment": stop is not None,
        "receipt": stop is not None and stop.last_seq == {TRACE: 7},
        "liveness": know.alive("respond"),
    }[name]


RIGHT = {
    "policy": "person",
    "rules": "person",
    "containment": "respond",
    "receipt": "supervisor",
    "liveness": "respond",
}


def ready(world: World, name: str) -> Knowledge:
    """Return knowledge to which a record of this kind can mean something."""
    know = world.knowledge()
    if name == "receipt":
        know.apply(sent(world, "containment", "respond"))
    return know


@pytest.mark.parametrize("name", RIGHT)
def test_what_the_right_key_signed_is_taken(name: str) -> None:
    """Policies and orders would be published and change nothing."""
    world = World()
    know = ready(world, name)
    assert not taken(know, name)
    know.apply(sent(world, name, RIGHT[name]))
    assert taken(know, name)
    assert not know.counters


@pytest.mark.parametrize("name", RIGHT)
def test_what_nobody_signed_is_refused_and_counted(name: str) -> None:
    """Whoever can write to the topic could change what is judged."""
    world = World()
    know = ready(world, name)
    know.apply(sent(world, name))
    assert not taken(know, name)
    assert know.counters == {"refused_unsigned": 1}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("role", ["detect", "respond", "audit", "supervisor", "person"])
def test_what_another_role_signed_is_refused_and_counted(name: str, role: str) -> None:
    """One stolen key would be as good as all of them."""
    allowed = {RIGHT[name]} | ({"respond"} if name == "receipt" else set())
    world = World()
    know = ready(world, name)
    know.apply(sent(world, name, role))
    assert taken(know, name) is (role in allowed)
    assert know.counters == ({} if role in allowed else {"refused_wrong_role": 1})


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_altered_is_refused_and_counted(name: str) -> None:
    """A man in the middle could turn a signed policy into another."""
    world = World()
    know, record = ready(world, name), sent(world, name, RIGHT[name])
    altered = Read(record.topic, 0, 0, NOW_MS, record.key, (record.value or b"") + b" ", record.headers)
    know.apply(altered)
    assert not taken(know, name)
    assert know.counters == {"refused_bad_signature": 1}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("changed", [{"revoked": True}, {"expires_us": NOW_MS * 1000 - 1}])
def test_what_a_key_out_of_force_signed_is_refused(name: str, changed: dict[str, Any]) -> None:
    """Revoking a stolen key would change nothing."""
    world = World()
    know = ready(world, name)
    know.apply(world.key_record(world.keys(2, **{RIGHT[name]: changed})))
    know.apply(sent(world, name, RIGHT[name]))
    assert not taken(know, name)
    assert set(know.counters) <= {"refused_revoked_key", "refused_expired_key"}


def test_a_person_without_the_right_cannot_change_policy() -> None:
    """Whoever may answer questions could also grant their agent everything."""
    world = World()
    know = world.knowledge(loaded=False)
    know.apply(world.key_record(world.keys(may=("verdict", "approve", "stop"))))
    know.apply(sent(world, "policy", "person"))
    assert not taken(know, "policy")
    assert know.counters == {"refused_wrong_role": 1}


@pytest.mark.parametrize("name", ["policy", "rules", "containment"])
def test_what_comes_before_the_key_that_signed_it_is_believed_once_the_list_is_there(name: str) -> None:
    """After compaction the key list stands behind what it signs, and a new worker would run without any policy."""
    world = World()
    know = world.knowledge(loaded=False)
    know.apply(sent(world, name, RIGHT[name]))
    assert not taken(know, name)
    assert know.counters == {"waiting_for_key": 1}
    know.apply(world.key_record())
    assert taken(know, name)


def test_a_new_key_on_a_later_list_makes_what_it_signed_believed() -> None:
    """A person enrolled today could publish a policy that nobody believes until the next restart."""
    world, newcomer = World(), World()
    know = world.knowledge()
    know.apply(newcomer.signed(world.topics.policies, AGENT, policy(), "person"))
    assert not taken(know, "policy")
    both = KeyList(version=2, issued_us=1, keys=(*world.keys().keys, *newcomer.keys().keys))
    know.apply(world.key_record(both))
    assert taken(know, "policy")


def test_waiting_for_a_key_is_bounded() -> None:
    """Anybody who can write receipts could fill a worker's memory with records of invented keys."""
    world, stranger = World(), World()
    know = world.knowledge()
    for number in range(MAX_UNBELIEVED + 10):
        know.apply(stranger.signed(world.topics.policies, f"bot-{number}", policy(f"bot-{number}"), "person"))
    assert len(know._unbelieved) == MAX_UNBELIEVED
    assert know.counters["refused_unknown_key"] == 10


def test_liveness_does_not_wait_for_a_key() -> None:
    """A component that died long ago would come alive when its key is listed."""
    world = World()
    know = world.knowledge(loaded=False)
    know.apply(sent(world, "liveness", "respond"))
    know.apply(world.key_record())
    assert not know.alive("respond")


def test_only_the_root_key_makes_a_key_list() -> None:
    """Anybody could put a key of their own on the list."""
    world = World()
    know = world.knowledge(loaded=False)
    know.apply(world.key_record(signer=Ed25519PrivateKey.generate()))
    unsigned = world.key_record()
    know.apply(Read(unsigned.topic, 0, 0, NOW_MS, unsigned.key, unsigned.value))
    assert know.counters == {"refused_bad_signature": 1, "refused_unsigned": 1}
    assert know.keyring.version == 0


def test_an_older_key_list_does_not_come_back() -> None:
    """A replayed list would give a revoked key its rights back."""
    world = World()
    know = world.knowledge(loaded=False)
    know.apply(world.key_record(world.keys(2, person={"revoked": True})))
    know.apply(world.key_record(world.keys(1)))
    know.apply(sent(world, "policy", "person"))
    assert not taken(know, "policy")


def test_an_older_policy_or_rule_book_does_not_come_back() -> None:
    """A replayed policy would grant again what was taken away."""
    world = World()
    know = world.knowledge()
    for version in (3, 2):
        world.tell(know, policy(version=version, owner=f"owner-{version}"), rules(version))
    assert know.facts.policies[AGENT].policy.owner == "owner-3"
    assert know.facts.rules.version == 3


def test_a_policy_for_any_agent_is_the_fallback_of_agents_nobody_named() -> None:
    """An invented agent would be judged by no policy at all."""
    world = World()
    know = world.knowledge()
    world.tell(know, policy(ANY_AGENT, registered=False, owner="nobody"))
    assert know.facts.policy_of("invented").policy.owner == "nobody"


@pytest.mark.parametrize("name", ["policy", "containment"])
def test_a_record_under_another_agents_key_is_refused_and_counted(name: str) -> None:
    """A signed record of one agent could be carried to the key of another."""
    world = World()
    know = world.knowledge()
    topic = world.topics.policies if name == "policy" else world.topics.containment
    message = policy() if name == "policy" else containment(1, order())
    know.apply(world.signed(topic, OTHER, message, RIGHT[name]))
    assert not know.containments
    assert not know.facts.policies
    assert know.counters == {"refused_wrong_key": 1}


def test_containment_of_an_old_epoch_is_refused_and_counted() -> None:
    """A copy of an old set would lift a stop that stands."""
    world = World()
    know, topic = world.knowledge(), world.topics.containment
    know.apply(world.signed(topic, AGENT, containment(5, order()), "respond"))
    know.apply(world.signed(topic, AGENT, containment(4), "respond"))
    assert taken(know, "containment")
    assert know.counters == {"refused_old_epoch": 1}


def test_lifting_writes_an_empty_set_and_a_tombstone_lifts_nothing() -> None:
    """Whoever may delete a record could lift every order, or nobody could lift any."""
    world = World()
    know, topic = world.knowledge(), world.topics.containment
    know.apply(world.signed(topic, AGENT, containment(1, order()), "respond"))
    know.apply(world.read(topic, AGENT, None))
    assert taken(know, "containment")
    know.apply(world.signed(topic, AGENT, containment(2), "respond"))
    assert not taken(know, "containment")


def test_only_stops_make_a_run_stopped_and_only_their_own() -> None:
    """A paused agent's steps would be claimed as steps after a stop, or another agent's."""
    world = World()
    know, topic = world.knowledge(), world.topics.containment
    know.apply(world.signed(topic, AGENT, containment(1, order("pause"), order("stop", "run-2", "c-2")), "respond"))
    know.apply(world.signed(topic, OTHER, containment(1, agent_id=OTHER), "respond"))
    assert set(know.facts.stopped) == {(AGENT, "run-2")}


def test_a_receipt_with_the_agents_mark_is_taken() -> None:
    """An agent's own account of its last step would never tighten the proof of its stop."""
    world = World()
    know = ready(world, "receipt")
    know.apply(marked(world, receipt()))
    assert taken(know, "receipt")


@pytest.mark.parametrize(
    "fields", [{"command_id": "c-9"}, {"run_id": "run-9"}, {"status": "received"}, {"layer": "supervisor"}]
)
def test_a_receipt_of_something_else_changes_nothing(fields: dict[str, str]) -> None:
    """A receipt for one order would count for another."""
    world = World()
    know = ready(world, "receipt")
    know.apply(marked(world, receipt(**fields)))
    assert not taken(know, "receipt")


def test_a_receipt_with_another_agents_mark_is_refused() -> None:
    """One agent could speak for the stopped run of another."""
    world = World()
    know = ready(world, "receipt")
    know.apply(marked(world, receipt(), agent_id=OTHER))
    assert not taken(know, "receipt")
    assert know.counters == {"refused_unsigned": 1}


def test_the_archives_word_needs_no_signature_and_decides_nothing() -> None:
    """The archive would need a key beside other people's SQL, or fill the counters of refused records."""
    world = World()
    know = world.knowledge()
    word = Liveness(component="archive", instance="i", time_us=1)
    know.apply(world.read(world.topics.liveness, "archive/i", word.value()))
    assert not know.counters
    assert not know.alive("archive")


@pytest.mark.parametrize("value", [b"", b"{", b"null", b"[" * 9000, b"\xff"])
def test_what_cannot_be_read_is_counted_and_leaves_what_is_in_force(value: bytes) -> None:
    """One bad record would stop a worker, or wipe its policies."""
    world = World()
    know = world.knowledge()
    world.tell(know, policy(), rules(7))
    for topic, key in ((world.topics.policies, AGENT), (world.topics.rules, "book"), (world.topics.liveness, "x")):
        headers = world.signers["person"].seal(topic.name, key, {"book": "rules"}.get(key, "policy"), value)
        know.apply(world.read(topic, key, value, headers))
    assert taken(know, "policy")
    assert taken(know, "rules")
    assert sum(know.counters.values()) == 3


def test_a_publisher_can_wait_until_its_policy_is_in_force() -> None:
    """`lictor ingest` would begin before the policy it just published is judged by."""
    world = World()
    know = world.knowledge()
    know.apply(sent(world, "policy", "person", offset=41))
    know.apply(sent(world, "rules", "", offset=6))
    assert know.applied == {"t.policies": 42, "t.rules": 7}


def tainted(name: str = "memory-1", **fields: Any) -> Taint:
    """Return what `detect` says of a record that untrusted content wrote."""
    base = {"kind": "memory", "name": name, "agent_id": AGENT, "time_us": 1, "expires_us": 1 << 60}
    return Taint.model_validate({**base, **fields})


@pytest.mark.parametrize(
    ("role", "key", "known"),
    [("detect", "memory:memory-1", True), ("detect", "memory:other", False), ("", "memory:memory-1", False)],
)
def test_a_taint_is_believed_from_detect_about_what_it_names(role: str, key: str, known: bool) -> None:
    """Anybody could mark memory as poisoned, or an attacker's as clean, for every worker."""
    world = World()
    know, message = world.knowledge(), tainted()
    topic = world.topics.taints
    know.apply(world.signed(topic, key, message, role) if role else world.read(topic, key, message.value()))
    assert ("memory-1" in know.facts.taints) is known


def test_an_older_bundle_does_not_come_back() -> None:
    """Who replays last year's signed rules would switch off what was added since."""
    world = World()
    know, topic = world.knowledge(), world.topics.rules
    for offset, version in enumerate((2, 1, 2)):
        bundle = RuleBundle.of({"a.yml": str(version)}, version, 1)
        know.apply(world.signed(topic, BUNDLE_KEY, bundle, "person", offset=offset))
    assert know.bundle is not None
    assert know.bundle.version == 2
    assert know.counters["refused_old_version"] == 2
    assert know.applied[topic.name] == 0, "published, and not in force before it is compiled"
    know.bundle_in_force(know.bundle)
    assert know.applied[topic.name] == 3


def test_rules_of_nobody_who_may_publish_them_are_not_taken() -> None:
    """Whoever can write to the topic could put his own rules in force."""
    world = World()
    know, bundle = world.knowledge(), RuleBundle.of({"a.yml": "x"}, 1, 1)
    know.apply(world.read(world.topics.rules, BUNDLE_KEY, bundle.value()))
    know.apply(world.signed(world.topics.rules, BUNDLE_KEY, bundle, "detect"))
    assert know.bundle is None
