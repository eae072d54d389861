"""Settings of an agent: from arguments, else from the environment."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lictor_agent.errors import BadConfiguration

KEY_BYTES: Final = 32
_KAFKA_CLIENT: Final = {
    "LICTOR_KAFKA_SECURITY_PROTOCOL": "security_protocol",
    "LICTOR_KAFKA_SASL_MECHANISM": "sasl_mechanism",
    "LICTOR_KAFKA_SASL_USERNAME": "sasl_plain_username",
    "LICTOR_KAFKA_SASL_PASSWORD": "sasl_plain_password",
}


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
        return cls(
            kafka=env.get("LICTOR_KAFKA", ""),
            root_key=b"" if off else read_key(root, "LICTOR_ROOT_KEY"),
            agent_key=read_key(env["LICTOR_AGENT_KEY"], "LICTOR_AGENT_KEY") if env.get("LICTOR_AGENT_KEY") else b"",
            namespace=env.get("LICTOR_NAMESPACE") or "lictor",
            spool=Path(env.get("LICTOR_SPOOL") or Path(tempfile.gettempdir()) / f"lictor-spool-{os.getuid()}"),
            supervisor=env.get("LICTOR_SUPERVISOR", ""),
            off=off,
            kafka_client=kafka_client(env),
        )


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


def _is_key(text: str) -> bool:
    return len(text) == 2 * KEY_BYTES and all(letter in "0123456789abcdef" for letter in text)
