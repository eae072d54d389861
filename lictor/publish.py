"""Putting the key list, the policies and the rule book on their topics, signed, and only if they are newer."""

from typing import Final

from lictor import topic_io
from lictor.keys import OPERATOR, Keys
from lictor.policy_file import Policies
from lictor.settings import Settings
from schemas.errors import BadPolicy, BadRecord
from schemas.keys import KEY_LIST, KeyList
from schemas.message import Message
from schemas.policy import ANY_AGENT, AgentPolicy
from schemas.rules import RuleBook
from streams.records import Output, Record, signed

RULE_BOOK: Final = "book"


async def publish_policies(bootstrap: str, settings: Settings, keys: Keys, policies: Policies) -> int:
    """Publish what differs from what is in force; return how many records that were.

    Raises `BadPolicy` where the content changed and `version` did not rise: two policies must not share a number.
    """
    topics = settings.topics
    records = await topic_io.read_all(bootstrap, [topics.policies, topics.rules], settings.kafka_client)
    in_force = {(record.topic, (record.key or b"").decode()): record for record in records if record.value}
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


def _list_if_newer(known: Record | None, keys: Keys, settings: Settings) -> list[Output]:
    if known is not None:
        try:
            if KeyList.read(known.value).version >= keys.key_list().version:
                return []
        except BadRecord:
            pass
    return [keys.signed_list(settings.topics)]


def _withdrawn(in_force: dict[tuple[str, str], Record], topic: str, policies: Policies) -> list[tuple[str, Message]]:
    """Agents that the file no longer names get what anybody gets, under its version: tombstones are not believed."""
    named = {policy.agent_id for policy in policies.agents} | {KEY_LIST}
    anybody = policies.of(ANY_AGENT)
    gone = [key for found, key in in_force if found == topic and key not in named]
    return [(key, anybody.model_copy(update={"agent_id": key})) for key in gone]


def _is_newer(message: Message, known: Record | None) -> bool:
    """Tell whether a message must be published: it is not there yet, or there in an older version."""
    if known is None:
        return True
    reader = RuleBook if isinstance(message, RuleBook) else AgentPolicy
    try:
        there = reader.read(known.value)
    except BadRecord:
        return True
    version, known_version = message.version, there.version  # type: ignore[attr-defined]  # both kinds have one
    blank: dict[str, int] = {"issued_us": 0, "version": 0}
    if message.model_copy(update=blank) == there.model_copy(update=blank):
        return bool(version > known_version)
    if version <= known_version:
        raise BadPolicy(
            f"the policy changed, but `version: {version}` does not rise above {known_version}, which is in force; raise it"
        )
    return True
