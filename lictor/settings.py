"""Settings: read once from the environment, frozen. An unknown `LICTOR_*` name is refused: it is a misspelt one."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeGuard

from lictor.processes import is_alive
from schemas.errors import BadSettings
from streams.topics import DEFAULT_NAMESPACE, Topics

# Names that the SDK, the supervisor and the examples read; they may stand in the same environment.
OTHERS: Final = frozenset(
    {
        "LICTOR_AGENT_KEY",
        "LICTOR_MODE",
        "LICTOR_ROOT_KEY",
        "LICTOR_SPOOL",
        "LICTOR_SPOOL_MIB",
        "LICTOR_SUPERVISOR",
        "LICTOR_SUPERVISOR_KEY",
    }
)
_KAFKA_CLIENT: Final = {
    "LICTOR_KAFKA_SECURITY_PROTOCOL": "security_protocol",
    "LICTOR_KAFKA_SASL_MECHANISM": "sasl_mechanism",
    "LICTOR_KAFKA_SASL_USERNAME": "sasl_plain_username",
    "LICTOR_KAFKA_SASL_PASSWORD": "sasl_plain_password",
}
MEANINGS: Final[Mapping[str, str]] = {
    "LICTOR_HOME": "Data folder: keys, and of the embedded parts Kafka's log and the history. "
    "Default: `$XDG_DATA_HOME/lictor`, else `~/.local/share/lictor`.",
    "LICTOR_KAFKA": "Bootstrap address, `host:port`. Default: the embedded Kafka of `lictor up`.",
    "LICTOR_CLICKHOUSE": "`clickhouse://user:password@host:port/` of a server. Default: the embedded ClickHouse.",
    "LICTOR_NAMESPACE": "What the names of all topics begin with. Default: `lictor`.",
    "LICTOR_PARTITIONS": "Partitions of new topics, 1 to 1024; cannot be changed later. Default: 4.",
    "LICTOR_DETECT_WORKERS": "How many `detect` workers `lictor up` runs, 1 to 64. Default: 1.",
    "LICTOR_POLICY": "Policy file. Default: the one that came with Lictor.",
    "LICTOR_RULES": "Folders and files of Sigma rules, parted by `:`, beside those that came with Lictor.",
    "LICTOR_KEYS": "Folder of the keys. Default: `keys` in `LICTOR_HOME`.",
    "LICTOR_SQL_PORT": "Port of the embedded SQL endpoint, on loopback. Default: 0, a free one.",
    "LICTOR_KAFKA_SECURITY_PROTOCOL": "`SSL`, `SASL_SSL` or `SASL_PLAINTEXT`. Default: plain text.",
    "LICTOR_KAFKA_SASL_MECHANISM": "As the broker wants it: `PLAIN`, `SCRAM-SHA-512`, …",
    "LICTOR_KAFKA_SASL_USERNAME": "Name to log in with.",
    "LICTOR_KAFKA_SASL_PASSWORD": "Password to log in with.",
    "LICTOR_KAFKA_SSL_CAFILE": "Certificates to trust, a PEM file. Default: the machine's own.",
}
"""Every name that Lictor reads, and what it means."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. Empty addresses mean the embedded parts that `lictor up` runs on this machine."""

    home: Path
    """Data folder: Kafka's log, the history, keys, `run.json` of a running `lictor up`."""
    kafka: str = ""
    """Bootstrap address, `host:port`."""
    clickhouse: str = ""
    """`clickhouse://user:password@host:port/` of a server; empty for the embedded engine."""
    namespace: str = DEFAULT_NAMESPACE
    partitions: int = 4
    detect_workers: int = 1
    policy: Path | None = None
    rules: tuple[Path, ...] = ()
    """Folders and files of Sigma rules, beside those that came with Lictor."""
    keys: Path | None = None
    sql_port: int = 0
    """Of the embedded SQL endpoint; 0 chooses a free one."""
    kafka_client: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment. Raises `BadSettings` for an unknown name or a value that cannot be used."""
        env = os.environ if env is None else env
        known = MEANINGS.keys() | OTHERS
        unknown = sorted(name for name in env if name.startswith("LICTOR_") and name not in known)
        if unknown:
            raise BadSettings(f"unknown setting {unknown[0]}; known are {', '.join(sorted(known))}")
        return cls(
            home=Path(env.get("LICTOR_HOME") or _default_home(env)).expanduser().resolve(),
            kafka=_addresses(env.get("LICTOR_KAFKA", "")),
            clickhouse=env.get("LICTOR_CLICKHOUSE", ""),
            namespace=env.get("LICTOR_NAMESPACE") or DEFAULT_NAMESPACE,
            partitions=_number(env, "LICTOR_PARTITIONS", 4, 1, 1024),
            detect_workers=_number(env, "LICTOR_DETECT_WORKERS", 1, 1, 64),
            policy=_path(env, "LICTOR_POLICY"),
            rules=tuple(
                Path(part).expanduser().resolve() for part in env.get("LICTOR_RULES", "").split(os.pathsep) if part
            ),
            keys=_path(env, "LICTOR_KEYS"),
            sql_port=_number(env, "LICTOR_SQL_PORT", 0, 0, 65535),
            kafka_client=_client(env),
        )

    @property
    def topics(self) -> Topics:
        """The topics of this Lictor's namespace."""
        return Topics(self.namespace)

    @property
    def keys_folder(self) -> Path:
        """Where keys are."""
        return self.keys or self.home / "keys"

    def running(self) -> dict[str, Any]:
        """Return what a running `lictor up` of this data folder says of itself; empty if none runs."""
        try:
            found = json.loads((self.home / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if _is_run_file(found) and is_alive(found["pid"]) else {}


def _is_run_file(found: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether this is what `lictor up` writes of itself, as far as others rely on it."""
    if not isinstance(found, dict):
        return False
    pid, places = found.get("pid"), [found.get("kafka"), found.get("sql")]
    if type(pid) is not int or not 0 < pid < 1 << 31 or not all(isinstance(place, str) for place in places):
        return False
    try:
        return all(not place or _addresses(place) for place in places) and bool(places[0])
    except BadSettings:
        return False


def _addresses(text: str) -> str:
    for address in text.split(",") if text else ():
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports end there
            raise BadSettings(f"LICTOR_KAFKA must be host:port, or several between commas, not {text[:200]!r}")
    return text


def _default_home(env: Mapping[str, str]) -> str:
    return str(Path(env.get("XDG_DATA_HOME") or "~/.local/share") / "lictor")


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]).expanduser().resolve() if env.get(name) else None


def _number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        raise BadSettings(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)


def _client(env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: env[key] for key, name in _KAFKA_CLIENT.items() if env.get(key)}
    if "SSL" in found.get("security_protocol", ""):
        from aiokafka.helpers import create_ssl_context  # noqa: PLC0415 - only where TLS is used

        found["ssl_context"] = create_ssl_context(cafile=env.get("LICTOR_KAFKA_SSL_CAFILE") or None)
    return found
