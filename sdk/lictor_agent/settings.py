"""Settings of an agent: from arguments, else from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor_agent.errors import BadConfiguration

KEY_BYTES: Final = 32
SPOOL_MIB: Final = 256
MOST_MIB: Final = 1 << 20
_KAFKA_CLIENT: Final = {
    "LICTOR_KAFKA_SECURITY_PROTOCOL": "security_protocol",
    "LICTOR_KAFKA_SASL_MECHANISM": "sasl_mechanism",
    "LICTOR_KAFKA_SASL_USERNAME": "sasl_plain_username",
    "LICTOR_KAFKA_SASL_PASSWORD": "sasl_plain_password",
}
MEANINGS: Final[Mapping[str, str]] = {
    "LICTOR_KAFKA": "Bootstrap address, `host:port`. Required.",
    "LICTOR_ROOT_KEY": "The public root key that orders must come from, as a file or 64 hex digits. Required.",
    "LICTOR_AGENT_KEY": "The agent's own key, as a file or 64 hex digits. Default: none, and steps go unmarked.",
    "LICTOR_SUPERVISOR_KEY": "The supervisor's key, for `lictor-agent run` alone: the agent's process does not get it. "
    "Default: none, and its word proves nothing.",
    "LICTOR_SUPERVISOR": "Set by the supervisor for the agent it starts: the socket between them.",
    "LICTOR_NAMESPACE": "As Lictor's. Default: `lictor`.",
    "LICTOR_SPOOL": "Folder for steps that Kafka has not acknowledged; made 0700, and not used if it belongs to somebody "
    "else or others may write it. Default: `$XDG_STATE_HOME/lictor/spool`, else `~/.local/state/lictor/spool`.",
    "LICTOR_SPOOL_MIB": "How much of the disk each process of an agent may take there, in MiB; what comes then is dropped and "
    "counted. Default: 256.",
    "LICTOR_MODE": "`off`: nothing is published, nothing refused. Default: on.",
    "LICTOR_KAFKA_SECURITY_PROTOCOL": "`SSL`, `SASL_SSL` or `SASL_PLAINTEXT`. Default: plain text.",
    "LICTOR_KAFKA_SASL_MECHANISM": "As the broker wants it: `PLAIN`, `SCRAM-SHA-512`, …",
    "LICTOR_KAFKA_SASL_USERNAME": "Name to log in with.",
    "LICTOR_KAFKA_SASL_PASSWORD": "Password to log in with.",
    "LICTOR_KAFKA_SSL_CAFILE": "Certificates to trust, a PEM file. Default: the machine's own.",
}
"""Every name that the SDK and the supervisor read, and what it means."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where Lictor is and who this agent is to it."""

    kafka: str
    root_key: bytes
    """The public root key, pinned: what signs the list of keys whose orders are obeyed."""
    agent_key: bytes = field(repr=False)
    """The agent's own key, for marks. Empty: steps go unmarked, and Lictor says so."""
    namespace: str = "lictor"
    spool: Path = Path()
    spool_mib: int = SPOOL_MIB
    supervisor: str = ""
    off: bool = False
    kafka_client: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, env: Mapping[str, str] | None = None) -> "AgentSettings":
        """Read the environment. Raises `BadConfiguration` with the name that is missing."""
        env = os.environ if env is None else env
        off = env.get("LICTOR_MODE", "") == "off"
        root = env.get("LICTOR_ROOT_KEY", "")
        if not off and not env.get("LICTOR_KAFKA"):
            raise BadConfiguration("LICTOR_KAFKA is not set: the address of Kafka, host:port (or LICTOR_MODE=off)")
        if not off and not root:
            raise BadConfiguration(
                "LICTOR_ROOT_KEY is not set: the root.pub that `lictor keys init` made, or its content"
            )
        root_key = b"" if off else read_key(root, "LICTOR_ROOT_KEY")
        return cls(
            kafka=_addresses(env.get("LICTOR_KAFKA", "")),
            root_key=root_key,
            agent_key=_agent_key(env["LICTOR_AGENT_KEY"], root_key) if env.get("LICTOR_AGENT_KEY") else b"",
            namespace=env.get("LICTOR_NAMESPACE") or "lictor",
            spool=Path(env.get("LICTOR_SPOOL") or _state_folder(env) / "lictor" / "spool"),
            spool_mib=_mebibytes(env.get("LICTOR_SPOOL_MIB") or str(SPOOL_MIB)),
            supervisor=env.get("LICTOR_SUPERVISOR", ""),
            off=off,
            kafka_client=kafka_client(env),
        )


def _addresses(text: str) -> str:
    """Return bootstrap addresses, `host:port` between commas, if that is what they are."""
    for address in text.split(",") if text else ():
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports end there
            raise BadConfiguration(f"LICTOR_KAFKA must be host:port, or several between commas, not {text[:200]!r}")
    return text


def _mebibytes(text: str) -> int:
    """Return how much of the disk the spool may take, if that is what it says."""
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 0 < int(text) <= MOST_MIB):  # noqa: PLR2004 - enough digits
        raise BadConfiguration(f"LICTOR_SPOOL_MIB must be a whole number from 1 to {MOST_MIB}, not {text[:200]!r}")
    return int(text)


def _state_folder(env: Mapping[str, str]) -> Path:
    """Return where a user's programs keep state. A user without a home has no spool: nothing can be made below a file."""
    state = Path(env.get("XDG_STATE_HOME", ""))
    if state.is_absolute():
        return state
    try:
        return Path(env.get("HOME") or Path.home()) / ".local" / "state"
    except RuntimeError:
        return Path(os.devnull)


def kafka_client(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the security settings for Kafka clients."""
    found: dict[str, Any] = {name: env[key] for key, name in _KAFKA_CLIENT.items() if env.get(key)}
    if "SSL" in found.get("security_protocol", ""):
        from aiokafka.helpers import create_ssl_context  # noqa: PLC0415 - only where TLS is used

        found["ssl_context"] = create_ssl_context(cafile=env.get("LICTOR_KAFKA_SSL_CAFILE") or None)
    return found


def read_key(text: str, name: str) -> bytes:
    """Read a key given as 64 hex digits or as a file that holds them."""
    if not _is_key(text):
        try:
            text = Path(text).expanduser().read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise BadConfiguration(f"{name} is neither a key (64 hex digits) nor a readable file") from None
    if not _is_key(text):
        raise BadConfiguration(f"the file in {name} does not hold a key (64 hex digits)")
    return bytes.fromhex(text)


def _agent_key(text: str, root_key: bytes) -> bytes:
    """Read the agent's own key, and refuse either half of the root key: a mistake that would show only far away."""
    key = read_key(text, "LICTOR_AGENT_KEY")
    if key == root_key:
        raise BadConfiguration(
            "LICTOR_AGENT_KEY is the public root key, which everybody knows; `lictor keys agent ID` prints the file to give"
        )
    if Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() == root_key:
        raise BadConfiguration(
            "LICTOR_AGENT_KEY is the private root key, which no agent may have; `lictor keys agent ID` prints the file to give"
        )
    return key


def _is_key(text: str) -> bool:
    return len(text) == 2 * KEY_BYTES and all(letter in "0123456789abcdef" for letter in text)
