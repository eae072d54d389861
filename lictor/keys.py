"""Keys on disk: the root key, the roles' keys, people's keys, the marks' master key. Each file 0600, each folder 0700."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor.folders import make_folder
from schemas import ids
from schemas.errors import BadRecord, KeysMissing
from schemas.keys import KEY_LIST, Key, KeyList, Role
from schemas.seal import Keyring, Signer, agent_key, key_id_of, public_bytes
from streams.records import Output
from streams.topics import Topics

ROLES: Final[tuple[Role, ...]] = ("detect", "respond", "profile", "audit", "supervisor")
OPERATOR: Final = "operator"
OPERATOR_MAY: Final = ("policy", "stop", "pause", "verdict", "approve")
_NAME_MOST: Final = 200
"""Characters; file systems take 255."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys folder: `root.key`, `root.pub`, `<role>.key`, `people/<name>.key`, `master.key`, `agents/`, `list.json`."""

    folder: Path

    def exist(self) -> bool:
        """Tell whether keys were made here."""
        return (self.folder / "root.pub").exists()

    def make(self) -> None:
        """Make root, role, operator and master keys and the first key list. Raises `KeysMissing` if some are there."""
        if self.exists_partly():
            raise KeysMissing("keys exist already; move the folder away to make new ones", where=str(self.folder))
        make_folder(self.folder, "move it away, or set LICTOR_KEYS").chmod(0o700)
        root = Ed25519PrivateKey.generate()
        self._write("master.key", os.urandom(32).hex())
        entries = [self._new_key(f"{role}.key", role, name=role) for role in ROLES]
        entries.append(self._new_key(f"people/{OPERATOR}.key", "person", name=OPERATOR, may=OPERATOR_MAY))
        self._write_list(KeyList(version=1, issued_us=_now_us(), keys=tuple(entries)))
        self._write("root.key", root.private_bytes_raw().hex())
        self._write("root.pub", public_bytes(root).hex(), mode=0o644)

    def exists_partly(self) -> bool:
        """Tell whether any key file is there."""
        return any((self.folder / name).exists() for name in ("root.key", "root.pub", "master.key", "list.json"))

    def signer(self, name: str) -> Signer:
        """Return the signer of a role (`detect`) or a person (`people/operator`)."""
        private = Ed25519PrivateKey.from_private_bytes(self._secret(f"{name}.key"))
        return Signer(key_id_of(public_bytes(private)), private)

    def key_list(self) -> KeyList:
        """Return the key list as last written."""
        try:
            return KeyList.read(self._read("list.json").encode())
        except BadRecord as error:
            raise KeysMissing(f"list.json is damaged: {error}", where=str(self.folder)) from None

    def signed_list(self, topics: Topics) -> Output:
        """Return the key list, signed by the root key, as it is published."""
        root = Ed25519PrivateKey.from_private_bytes(self._secret("root.key"))
        value = self.key_list().value()
        headers = Signer("root", root).seal(topics.policies.name, KEY_LIST, KeyList.type, value)
        return Output(topics.policies.name, KEY_LIST, value, headers)

    def keyring(self) -> Keyring:
        """Return an empty keyring that trusts this root key."""
        return Keyring(self.root_public())

    def root_public(self) -> bytes:
        """Return the root key that agents pin."""
        return self._secret("root.pub")

    def master(self) -> bytes:
        """Return the marks' master key. Of the running parts only `detect` may call this."""
        return self._secret("master.key")

    def agent_key_file(self, agent_id: str) -> Path:
        """Derive an agent's key and return the file it is in (0600), named so that no agent id can escape the folder."""
        name = f"agents/{_file_name(agent_id)}.key"
        path = self.folder / name
        text = agent_key(self.master(), agent_id).hex()
        if not path.exists() or path.read_bytes().strip() != text.encode():
            path.unlink(missing_ok=True)
            self._write(name, text)
        return path

    def add_person(self, name: str, may: tuple[str, ...]) -> Key:
        """Make a person's key and put it on the list."""
        return self._add(self._new_key(f"people/{name}.key", "person", name=name, may=may))

    def add_roles(self) -> tuple[Role, ...]:
        """Make the keys of roles that came after these keys were made; return which."""
        missing = tuple(role for role in ROLES if not (self.folder / f"{role}.key").exists())
        for role in missing:
            self._add(self._new_key(f"{role}.key", role, name=role))
        return missing

    def revoke(self, key_id: str) -> None:
        """Mark a key as revoked, in a new version of the list."""
        known = self.key_list()
        if key_id not in {key.key_id for key in known.keys}:
            raise KeysMissing(f"no key {key_id} on the list; `lictor keys list` shows them")
        keys = tuple(key.model_copy(update={"revoked": True}) if key.key_id == key_id else key for key in known.keys)
        self._write_list(KeyList(version=known.version + 1, issued_us=_now_us(), keys=keys))

    def _add(self, key: Key) -> Key:
        known = self.key_list()
        self._write_list(KeyList(version=known.version + 1, issued_us=_now_us(), keys=(*known.keys, key)))
        return key

    def _new_key(self, file: str, role: Role, *, name: str, may: tuple[str, ...] = ()) -> Key:
        private = Ed25519PrivateKey.generate()
        self._write(file, private.private_bytes_raw().hex())
        public = public_bytes(private)
        return Key(key_id=key_id_of(public), role=role, name=name, public=public.hex(), may=may)

    def _write_list(self, found: KeyList) -> None:
        self._write("list.json", json.dumps(found.model_dump(), indent=1), replace=True)

    def _write(self, name: str, text: str, *, mode: int = 0o600, replace: bool = False) -> None:
        path = self.folder / name
        make_folder(path.parent, "move it away, or set LICTOR_KEYS")
        target = path.with_suffix(".new") if replace else path
        try:
            target.unlink(missing_ok=True) if replace else None
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            if replace:
                target.replace(path)
        except FileExistsError:
            raise KeysMissing(f"{name} exists already and is left as it is", where=str(self.folder)) from None
        except OSError as error:
            raise KeysMissing(f"cannot write {name}: {error.strerror}", where=str(self.folder)) from None

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise KeysMissing(f"cannot read {name}: {error.strerror}; `lictor keys init` makes keys") from None
        except UnicodeDecodeError:
            raise KeysMissing(f"{name} is damaged: it is no text", where=str(self.folder)) from None

    def _secret(self, name: str) -> bytes:
        text = self._read(name).strip()
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            secret = b""
        if len(secret) != 32:  # noqa: PLR2004 - every key here is 32 bytes
            raise KeysMissing(f"{name} does not hold a key (64 hex digits)", where=str(self.folder))
        return secret


def _file_name(agent_id: str) -> str:
    """Return a name that no agent id can lead out of the folder with; a long one is named by its digest."""
    name = agent_id.encode().hex()
    return name if len(name) <= _NAME_MOST else f"~{ids.named('lictor.agent', agent_id)}"


def readable_by_others(folder: Path) -> list[Path]:
    """Return key files that other users of this machine can read."""
    return [
        path for path in sorted(folder.rglob("*")) if path.suffix in (".key", ".json") and path.stat().st_mode & 0o077
    ]


def _now_us() -> int:
    return int(time.time() * 1e6)
