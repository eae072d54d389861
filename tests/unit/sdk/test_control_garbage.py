"""Whatever stands on the topics, signed or not, the thread that listens for stops goes on listening."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lictor_agent.link import Heard
from schemas.keys import KEY_LIST
from schemas.policy import ANY_AGENT
from schemas.seal import Signer
from tests.unit.sdk._ear import Ear
from tests.unit.streams._builders import AGENT

EAR = Ear()
TOPICS = st.sampled_from(["t.policies", "t.containment", "t.commands", "t.liveness", "t.other", "", "…"])
KEYS = st.sampled_from([AGENT, KEY_LIST, ANY_AGENT, "other", ""])
HEADERS = st.lists(
    st.tuples(st.sampled_from(["lictor-type", "lictor-key", "lictor-signature"]), st.binary(max_size=64)), max_size=4
)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=2)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TOPICS, KEYS, st.binary(max_size=200), HEADERS)
def test_hearing_never_raises(topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """One bad record would end the thread that listens for stops."""
    EAR.control.hear(Heard(topic, key, value, headers, 0))
    assert EAR.run.told == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["policy", "containment", "command", "clearance", "liveness", "keys"]),
    st.dictionaries(
        st.sampled_from(["v", "agent_id", "version", "epoch", "orders", "target", "keys", "component", "command_id"]),
        NESTED,
    ),
)
def test_hearing_signed_nonsense_never_raises(kind: str, said: dict[str, Any]) -> None:
    """A record of a later version, signed as it must be, would end the thread that listens for stops."""
    topics, ear = EAR.world.topics, EAR
    topic = {
        "policy": topics.policies,
        "keys": topics.policies,
        **dict.fromkeys(("command", "clearance"), topics.commands),
    }
    where = topic.get(kind) or getattr(topics, kind)
    role = {"policy": "person", "clearance": "detect", "liveness": "detect"}.get(kind, "respond")
    signer = Signer("root", EAR.world.root) if kind == "keys" else EAR.world.signers[role]
    key, value = KEY_LIST if kind == "keys" else AGENT, msgspec.json.encode(said)
    ear.tell(ear.world.read(where, key, value, signer.seal(where.name, key, kind, value)))
    assert ear.run.told == []
