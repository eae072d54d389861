"""Signatures and marks: nobody unauthorised gives orders, nobody impersonates."""

import pytest

from schemas.errors import BadRecord, BadSeal
from schemas.keys import KEY_LIST, Key
from schemas.seal import (
    KEY_ID,
    MARK,
    SIGNATURE,
    SIGNERS,
    TYPE,
    Headers,
    Keyring,
    agent_key,
    header,
    key_id_of,
    mark,
    mark_is_good,
    may_sign,
    public_bytes,
    sealed_bytes,
)
from tests.unit.builders import NOW, POLICIES, a_private_key, a_signer, an_entry, keyring_of, signed_list

TOPIC, KEY, KIND, VALUE = "lictor.commands", "invoice-bot", "command", b'{"action":"stop"}'
RESPOND = an_entry("respond", "respond")


def sealed(name: str = "respond", kind: str = KIND) -> Headers:
    """Return the headers of the order, signed with the key of that name."""
    return a_signer(name).seal(TOPIC, KEY, kind, VALUE)


def refusal(
    headers: Headers,
    *entries: Key,
    topic: str = TOPIC,
    key: str = KEY,
    kind: str = KIND,
    value: bytes = VALUE,
    now_us: int = NOW,
) -> str:
    """Return the word with which a record is not believed."""
    with pytest.raises(BadSeal) as caught:
        keyring_of(*(entries or (RESPOND,))).check(topic, key, kind, headers, value, now_us)
    return caught.value.kind


def flips(text: bytes) -> list[bytes]:
    """Return the text with each of its bits flipped in turn."""
    return [bytes([*text[:at], text[at] ^ (1 << bit), *text[at + 1 :]]) for at in range(len(text)) for bit in range(8)]


def test_an_order_signed_by_who_may_is_believed() -> None:
    """No order would ever be obeyed."""
    assert keyring_of(RESPOND).check(TOPIC, KEY, KIND, sealed(), VALUE, NOW) == RESPOND


def test_every_flipped_bit_of_the_value_is_noticed() -> None:
    """An order could be turned into another on its way."""
    assert {refusal(sealed(), value=value) for value in flips(VALUE)} == {"bad_signature"}


def test_every_flipped_bit_of_the_signature_is_noticed() -> None:
    """Anybody could sign by guessing."""
    signature = header(sealed(), SIGNATURE) or b""
    forged = [[*sealed()[:2], (SIGNATURE, bad)] for bad in [*flips(signature), b"", signature[:-1], signature + b"x"]]
    assert {refusal(headers) for headers in forged} == {"bad_signature"}


def test_every_flipped_bit_of_topic_and_key_is_noticed() -> None:
    """An order against one agent could be replayed against another."""
    topics = [text.decode("latin-1") for text in flips(TOPIC.encode())]
    keys = [text.decode("latin-1") for text in flips(KEY.encode())]
    assert {refusal(sealed(), topic=topic) for topic in topics} == {"bad_signature"}
    assert {refusal(sealed(), key=key) for key in keys} == {"bad_signature"}


def test_every_flipped_bit_of_the_type_is_noticed() -> None:
    """A harmless message could be passed off as an order."""
    forged = [[(TYPE, kind), *sealed()[1:]] for kind in flips(KIND.encode())]
    assert {refusal(headers) for headers in forged} == {"wrong_role"}
    assert refusal([(TYPE, b"containment"), *sealed()[1:]], kind="containment") == "bad_signature"


def test_text_cannot_move_from_one_part_to_the_next() -> None:
    """`ab`+`c` would be signed as `a`+`bc`: an order for another agent."""
    assert sealed_bytes("ab", "c", "k", b"v") != sealed_bytes("a", "bc", "k", b"v")
    assert sealed_bytes("t", "k", "xv", b"") != sealed_bytes("t", "k", "x", b"v")


@pytest.mark.parametrize("missing", [TYPE, KEY_ID, SIGNATURE])
def test_a_header_that_is_missing_or_stands_twice_is_no_signature(missing: str) -> None:
    """Two readers could each believe another of two headers."""
    without = [item for item in sealed() if item[0] != missing]
    twice = [*sealed(), next(item for item in sealed() if item[0] == missing)]
    assert refusal(without) == "unsigned"
    assert refusal(twice) == "unsigned"


def test_a_header_is_read_only_where_it_stands_once() -> None:
    """The mark checked could be another than the mark read."""
    assert header([(MARK, b"a")], MARK) == b"a"
    assert header([(MARK, b"a"), (MARK, b"a")], MARK) is None
    assert header([], MARK) is None


@pytest.mark.parametrize("key_id", [b"0123456789abcdef", b"\xff\xfe", b""])
def test_a_key_nobody_put_on_the_list_is_not_believed(key_id: bytes) -> None:
    """Anybody with a key of their own could stop the fleet."""
    assert refusal([sealed()[0], (KEY_ID, key_id), sealed()[2]]) == "unknown_key"
    assert refusal(sealed("stranger")) == "unknown_key"


def test_a_revoked_key_is_not_believed() -> None:
    """A stolen key could never be taken back."""
    assert refusal(sealed(), an_entry("respond", "respond", revoked=True)) == "revoked_key"


def test_an_expired_key_is_not_believed_from_the_microsecond_after() -> None:
    """Keys of people who left would be good for ever."""
    entry = an_entry("respond", "respond", expires_us=NOW)
    assert keyring_of(entry).check(TOPIC, KEY, KIND, sealed(), VALUE, NOW) == entry
    assert refusal(sealed(), entry, now_us=NOW + 1) == "expired_key"


@pytest.mark.parametrize("role", ["detect", "audit", "supervisor"])
def test_another_roles_key_gives_no_orders(role: str) -> None:
    """A compromised part of Lictor would have the rights of all."""
    entry = an_entry(role, role)  # type: ignore[arg-type]
    assert refusal(sealed(role), entry) == "wrong_role"


def test_a_person_may_only_what_the_list_names() -> None:
    """Whoever may read findings could stop agents."""
    assert refusal(sealed("alice"), an_entry("alice", "person", may=("verdict",))) == "wrong_role"
    alice = an_entry("alice", "person", may=("stop",))
    assert keyring_of(alice).check(TOPIC, KEY, KIND, sealed("alice"), VALUE, NOW) == alice


def test_no_role_signs_what_is_unknown() -> None:
    """A message of a later version would be believed without a rule for it."""
    assert not may_sign(RESPOND, "surprise")
    assert not may_sign(an_entry("alice", "person", may=("command", "")), "command")


def test_only_respond_orders_and_only_the_judging_parts_claim() -> None:
    """A stolen key of `detect` would order, or one of the archive or a supervisor justify an order."""
    assert SIGNERS["containment"] == (("respond", ""),)
    assert SIGNERS["finding"] == (("detect", ""), ("respond", ""), ("profile", ""))
    assert SIGNERS["clearance"] == SIGNERS["match"] == (("detect", ""),)


def test_a_list_the_root_did_not_sign_changes_nothing() -> None:
    """Whoever can write to the policy topic would decide who gives orders."""
    ring = keyring_of(RESPOND)
    headers, value = signed_list(an_entry("mallory", "respond"), version=2, by="mallory")
    for forged, kind in ((headers, "bad_signature"), ([], "unsigned"), (headers * 2, "unsigned")):
        with pytest.raises(BadSeal) as caught:
            ring.load(POLICIES, KEY_LIST, forged, value)
        assert caught.value.kind == kind
    assert ring.version == 1
    assert list(ring.keys) == [RESPOND.key_id]


def test_a_list_is_good_only_where_it_was_published() -> None:
    """A list signed for a rehearsal could be replayed where it counts."""
    headers, value = signed_list(RESPOND)
    ring = Keyring(public_bytes(a_private_key("root")))
    for topic, key in (("other.policies", KEY_LIST), (POLICIES, "invoice-bot")):
        with pytest.raises(BadSeal):
            ring.load(topic, key, headers, value)


def test_an_older_list_is_ignored() -> None:
    """Replaying last year's list would bring revoked keys back."""
    ring = Keyring(public_bytes(a_private_key("root")))
    for version, name, taken in ((3, "respond", True), (2, "old", False), (3, "same", False), (4, "new", True)):
        headers, value = signed_list(an_entry(name, "respond"), version=version)
        assert ring.load(POLICIES, KEY_LIST, headers, value) is taken
    assert list(ring.keys) == [a_signer("new").key_id]


def test_a_signed_list_that_cannot_be_read_changes_nothing() -> None:
    """One mistake at signing would leave the fleet without any key."""
    ring = keyring_of(RESPOND)
    headers = a_signer("root").seal(POLICIES, KEY_LIST, "keys", b"{}")
    with pytest.raises(BadRecord):
        ring.load(POLICIES, KEY_LIST, headers, b"{}")
    assert list(ring.keys) == [RESPOND.key_id]


def test_an_entry_cannot_claim_another_keys_name() -> None:
    """A harmless-looking entry could take the place of `respond`."""
    claimed = an_entry("mallory", "respond").model_copy(update={"key_id": RESPOND.key_id})
    assert keyring_of(claimed).keys == {}
    assert key_id_of(bytes.fromhex(claimed.public)) != RESPOND.key_id


def test_an_agents_key_is_its_own() -> None:
    """One agent's key could make marks for another."""
    master = bytes(32)
    keys = {agent_key(master, name) for name in ("a", "b", "A", "", "\u00e9")} | {agent_key(b"\x01" * 32, "a")}
    assert len(keys) == 6


def test_a_mark_fits_one_record_only() -> None:
    """A marked step could be replayed as another."""
    key = agent_key(bytes(32), "a")
    good = mark(key, "t", "k", "step", b"value")
    assert mark_is_good(key, good, "t", "k", "step", b"value")
    others = [("u", "k", "step", b"value"), ("t", "l", "step", b"value"), ("t", "k", "receipt", b"value")]
    assert not any(mark_is_good(key, good, *other) for other in [*others, ("t", "k", "step", b"valuf")])
    assert not any(mark_is_good(key, bad, "t", "k", "step", b"value") for bad in [None, b"", good[:-1], *flips(good)])
    assert not mark_is_good(agent_key(bytes(32), "b"), good, "t", "k", "step", b"value")
