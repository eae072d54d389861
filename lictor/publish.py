"""Putting the key list, the policies and the rule book on their topics, signed, and only if they are newer."""

from collections.abc import Iterable
from typing import Final

from lictor import topic_io
from lictor.keys import OPERATOR, Keys
from lictor.policy_file import Policies
from lictor.settings import Settings
from schemas.errors import BadPolicy, BadRecord, BadSeal
from schemas.keys import KEY_LIST, KeyList
from schemas.message import Message
from schemas.policy import ANY_AGENT, AgentPolicy
from schemas.rule_bundle import BUNDLE_KEY, RuleBundle
from schemas.rules import RuleBook
from schemas.seal import Keyring
from streams.records import Output, Record, signed
from streams.topics import Topics

RULE_BOOK: Final = "book"


async def publish_policies(bootstrap: str, settings: Settings, keys: Keys, policies: Policies) -> int:
    """Publish what differs from what is in force; return how many records that were.

    Raises `BadPolicy` where the content changed and `version` did not rise: two policies must not share a number.
    """
    topics = settings.topics
    records = await topic_io.read_all(bootstrap, [topics.policies, topics.rules], settings.kafka_client)
    in_force = believed(records, keys, topics)
    signer = keys.signer(f"people/{OPERATOR}")
    wanted: list[tuple[str, Message]] = [(policy.agent_id, policy) for policy in policies.agents]
    wanted += _withdrawn(in_force, topics.policies.name, policies)
    out: list[Output] = _list_if_newer(in_force.get((topics.policies.name, KEY_LIST)), keys, settings)
    for key, message in wanted:
        if _is_newer(message, in_force.get((topics.policies.name, key))):
            out.append(signed(topics.policies, key, message, signer))
    if _is_newer(policies.rules, in_force.get((topics.rules.name, RULE_BOOK))):
        out.append(signed(topics.rules, RULE_BOOK, policies.rules, signer))
    await topic_io.publish(bootstrap, out, settings.kafka_client)
    return len(out)


def believed(records: Iterable[Record], keys: Keys, topics: Topics) -> dict[tuple[str, str], Record]:
    """Return the last record of each topic and key, if somebody signed it who may.

    What nobody believes is not in force, whatever version it claims: the true policy is published over it.
    """
    ring, listed = keys.keyring(), keys.signed_list(topics)
    ring.load(listed.topic, listed.key, listed.headers, listed.value or b"")
    last = {(record.topic, (record.key or b"").decode("utf-8", "replace")): record for record in records}
    return {place: record for place, record in last.items() if _is_signed(ring, record, place[1], topics)}


def _is_signed(ring: Keyring, record: Record, key: str, topics: Topics) -> bool:
    value, now_us = record.value, record.timestamp * 1000
    if value is None:
        return False
    try:
        if key == KEY_LIST:
            ring.load(record.topic, key, record.headers, value)
        else:
            kind: type[AgentPolicy | RuleBook | RuleBundle] = AgentPolicy
            if record.topic == topics.rules.name:
                kind = RuleBundle if key == BUNDLE_KEY else RuleBook
            ring.check(record.topic, key, kind.type, record.headers, value, now_us)
            kind.read(value)
    except (BadSeal, BadRecord):
        return False
    return True


def _list_if_newer(known: Record | None, keys: Keys, settings: Settings) -> list[Output]:
    if known is not None and KeyList.read(known.value).version >= keys.key_list().version:
        return []
    return [keys.signed_list(settings.topics)]


def _withdrawn(in_force: dict[tuple[str, str], Record], topic: str, policies: Policies) -> list[tuple[str, Message]]:
    """Agents that the file no longer names get what anybody gets, under its version: tombstones are not believed."""
    named = {policy.agent_id for policy in policies.agents} | {KEY_LIST}
    anybody = policies.of(ANY_AGENT)
    gone = [(key, record) for (found, key), record in in_force.items() if found == topic and key not in named]
    out: list[tuple[str, Message]] = []
    for key, record in gone:
        known = AgentPolicy.read(record.value)
        fresh = anybody.model_copy(update={"agent_id": key, "version": known.version + 1})
        if not _same(fresh, known):
            out.append((key, fresh))
    return out


def _is_newer(message: Message, known: Record | None) -> bool:
    """Tell whether a message must be published: it is not there yet, or there in an older version."""
    if known is None:
        return True
    there = (RuleBook if isinstance(message, RuleBook) else AgentPolicy).read(known.value)
    version, known_version = message.version, there.version  # type: ignore[attr-defined]  # both kinds have one
    if _same(message, there):
        return bool(version > known_version)
    if version <= known_version:
        raise BadPolicy(
            f"the policy changed, but `version: {version}` does not rise above {known_version}, which is in force; raise it"
        )
    return True


def _same(one: Message, other: Message) -> bool:
    """Tell whether two policies say the same, whatever their number."""
    blank: dict[str, int] = {"issued_us": 0, "version": 0}
    return one.model_copy(update=blank) == other.model_copy(update=blank)


async def publish_more(bootstrap: str, settings: Settings, keys: Keys, policies: Iterable[AgentPolicy]) -> None:
    """Publish policies of further agents beside those in force, each only if it is not there already."""
    topics = settings.topics
    records = await topic_io.read_all(bootstrap, [topics.policies], settings.kafka_client)
    in_force = {
        key: AgentPolicy.read(record.value)
        for (_, key), record in believed(records, keys, topics).items()
        if key != KEY_LIST
    }
    signer = keys.signer(f"people/{OPERATOR}")
    out: list[Output] = []
    for policy in policies:
        known = in_force.get(policy.agent_id)
        if known is None or not _same(policy, known):
            version = max(policy.version, known.version + 1 if known else 1)
            out.append(signed(topics.policies, policy.agent_id, policy.model_copy(update={"version": version}), signer))
    await topic_io.publish(bootstrap, out, settings.kafka_client)
