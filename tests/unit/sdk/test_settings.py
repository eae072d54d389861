"""An agent's settings: what is missing is named, what is off is off, and no key is ever shown."""

import pwd
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor_agent import Agent, AgentSettings, BadConfiguration, connect
from lictor_agent.settings import kafka_client, read_key
from lictor_agent.spool import Spool, Spooled, SpoolFull, leftovers

KEY = "ab" * 32
ENOUGH = {"LICTOR_KAFKA": "k:9092", "LICTOR_ROOT_KEY": KEY}


def test_an_address_and_the_root_key_are_enough() -> None:
    """An agent would need settings that nobody has told it of."""
    settings = AgentSettings.read(ENOUGH)
    assert (settings.kafka, settings.root_key, settings.agent_key) == ("k:9092", bytes.fromhex(KEY), b"")
    assert (settings.namespace, settings.supervisor, settings.off) == ("lictor", "", False)


def test_every_setting_is_taken(tmp_path: Path) -> None:
    """A setting that is documented would change nothing."""
    more = {"LICTOR_AGENT_KEY": "cd" * 32, "LICTOR_NAMESPACE": "eu", "LICTOR_SPOOL": str(tmp_path)}
    sasl = {"LICTOR_KAFKA_SASL_PASSWORD": "hush", "LICTOR_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    settings = AgentSettings.read({**ENOUGH, **more, **sasl, "LICTOR_SUPERVISOR": "/s"})
    assert (settings.agent_key, settings.namespace, settings.spool) == (bytes.fromhex("cd" * 32), "eu", tmp_path)
    assert settings.kafka_client == {"sasl_plain_password": "hush", "security_protocol": "SASL_PLAINTEXT"}
    assert settings.supervisor == "/s"


@pytest.mark.parametrize("missing", ["LICTOR_KAFKA", "LICTOR_ROOT_KEY"])
def test_what_is_missing_is_named(missing: str) -> None:
    """A user would not know what to set."""
    with pytest.raises(BadConfiguration, match=f"{missing} is not set"):
        AgentSettings.read({name: value for name, value in ENOUGH.items() if name != missing})


def test_off_needs_nothing() -> None:
    """A developer without a Kafka could not run the agent at all."""
    settings = AgentSettings.read({"LICTOR_MODE": "off"})
    assert (settings.off, settings.kafka, settings.root_key) == (True, "", b"")


@pytest.mark.parametrize("mode", ["", "OFF", "on", "0", "false"])
def test_only_the_word_off_is_off(mode: str) -> None:
    """A misspelt mode would silently leave an agent unwatched."""
    assert not AgentSettings.read({**ENOUGH, "LICTOR_MODE": mode}).off


def test_a_key_may_be_given_as_digits_or_as_a_file(tmp_path: Path) -> None:
    """The file that `lictor keys agent` prints could not be used."""
    (tmp_path / "a.key").write_text(KEY + "\n", encoding="ascii")
    assert read_key(KEY, "X") == read_key(str(tmp_path / "a.key"), "X") == bytes.fromhex(KEY)


@pytest.mark.parametrize("text", ["ab", "zz" * 32, "AB" * 32, "ab" * 33, "/no/such/file", "x" * 5000, "a\0b", "."])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    """A mistyped secret would stand in a log."""
    with pytest.raises(BadConfiguration) as bad:
        read_key(text, "LICTOR_AGENT_KEY")
    assert str(bad.value) == "LICTOR_AGENT_KEY is neither a key (64 hex digits) nor a readable file"


@pytest.mark.parametrize("content", [b"", b"ab", b"\xff\xfe", b"zz" * 32, KEY.encode() + b"\n" + KEY.encode()])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """An agent would start with a key that nobody knows."""
    (tmp_path / "a.key").write_bytes(content)
    with pytest.raises(BadConfiguration, match="LICTOR_ROOT_KEY"):
        AgentSettings.read({**ENOUGH, "LICTOR_ROOT_KEY": str(tmp_path / "a.key")})


@pytest.mark.parametrize(("half", "said"), [("root.pub", "public"), ("root.key", "private")])
def test_the_root_key_is_no_agents_key(tmp_path: Path, half: str, said: str) -> None:
    """Two paths mixed up would let an agent start whose every step is refused, or which holds the key to everything."""
    private = Ed25519PrivateKey.generate()
    root = private.public_key().public_bytes_raw().hex()
    (tmp_path / "root.pub").write_text(root, encoding="ascii")
    (tmp_path / "root.key").write_text(private.private_bytes_raw().hex(), encoding="ascii")
    with pytest.raises(BadConfiguration, match=f"LICTOR_AGENT_KEY is the {said} root key") as bad:
        AgentSettings.read({**ENOUGH, "LICTOR_ROOT_KEY": root, "LICTOR_AGENT_KEY": str(tmp_path / half)})
    assert private.private_bytes_raw().hex() not in str(bad.value)


def test_settings_never_show_a_secret() -> None:
    """The agent's key or the broker's password would stand in the first error report."""
    shown = repr(AgentSettings.read({**ENOUGH, "LICTOR_AGENT_KEY": "cd" * 32, "LICTOR_KAFKA_SASL_PASSWORD": "hush"}))
    assert "cd" * 8 not in shown
    assert repr(bytes.fromhex("cd" * 32)) not in shown
    assert "hush" not in shown


def test_tls_is_used_where_it_is_asked_for() -> None:
    """Steps would cross the network in the clear."""
    assert "ssl_context" in kafka_client({"LICTOR_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
    assert "ssl_context" not in kafka_client({"LICTOR_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"})


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"XDG_STATE_HOME": "/var/me", "HOME": "/h"}, "/var/me/lictor/spool"),
        ({"XDG_STATE_HOME": "not/absolute", "HOME": "/h"}, "/h/.local/state/lictor/spool"),
        ({"HOME": "/h"}, "/h/.local/state/lictor/spool"),
        ({}, f"{Path.home()}/.local/state/lictor/spool"),
    ],
)
def test_the_spool_is_where_no_other_user_can_be_first(env: dict[str, str], folder: str) -> None:
    """Another user could make the folder beforehand, and take an agent's last steps or put some of their own in."""
    assert AgentSettings.read({**ENOUGH, **env}).spool == Path(folder)


def test_a_user_without_a_home_has_no_spool_and_an_agent_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent in a container with a made-up user would not start."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    settings = AgentSettings.read(ENOUGH)
    with pytest.raises(SpoolFull, match="cannot write the spool: Not a directory"):
        Spool(settings.spool, "bot").write(Spooled("t", "k", b"v", []))
    assert list(leftovers(settings.spool, "bot")) == []


@pytest.mark.parametrize("agent_id", ["", "~x", "a\nb", "a\0", "x" * 129, "\ud800", "\u202e"])
def test_a_name_no_agent_can_have_is_refused(agent_id: str) -> None:
    """Steps would be published that `detect` refuses."""
    with pytest.raises(BadConfiguration, match="agent_id must be"):
        Agent(agent_id, version="", owner="", tools=[], settings=AgentSettings.read({"LICTOR_MODE": "off"}))


@pytest.mark.parametrize("agent_id", ["a", "invoice-bot", "dataset/suite", "é 漢", "x" * 128])
def test_any_other_name_is_taken(agent_id: str) -> None:
    """An agent with an honest name could not be connected."""
    assert connect(agent_id, settings=AgentSettings.read({"LICTOR_MODE": "off"})).agent_id == agent_id


@pytest.mark.parametrize(
    "text", ["127.0.0.1:9092.", "127.0.0.1", ":9092", "kafka:0", "kafka:65536", "a:1,b", "kafka:²"]
)
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    """A full stop copied along with the address would end in a stack trace of somebody else's library."""
    with pytest.raises(BadConfiguration, match="LICTOR_KAFKA must be host:port"):
        AgentSettings.read({"LICTOR_KAFKA": text, "LICTOR_ROOT_KEY": "0" * 64})


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²", "1048577", "9" * 5000, " 1"])
def test_a_bound_on_disk_that_is_none_is_refused_in_one_line(text: str) -> None:
    """An agent would fill the disk of its machine, or keep nothing, because of a slip."""
    with pytest.raises(BadConfiguration, match="LICTOR_SPOOL_MIB must be a whole number from 1 to 1048576"):
        AgentSettings.read({**ENOUGH, "LICTOR_SPOOL_MIB": text})


def test_the_bound_on_disk_can_be_set() -> None:
    """A machine with a small disk could not run an agent."""
    assert AgentSettings.read({**ENOUGH, "LICTOR_SPOOL_MIB": "8"}).spool_mib == 8
    assert AgentSettings.read(ENOUGH).spool_mib == 256
