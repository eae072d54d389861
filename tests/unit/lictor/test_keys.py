"""Keys on disk: readable by their owner alone, never overwritten, never outside their folder."""

import os
import stat
from pathlib import Path

import pytest

from lictor.keys import OPERATOR, OPERATOR_MAY, ROLES, Keys, readable_by_others
from schemas.errors import BadInput, KeysMissing
from schemas.keys import KEY_LIST, KeyList
from schemas.seal import agent_key, key_id_of, public_bytes
from streams.topics import Topics

TOPICS = Topics("t")
HOSTILE_IDS = [
    "../../root",
    "/etc/passwd",
    "..",
    ".",
    "a/b/c",
    "a\\b",
    "~root",
    "con.key",
    "list.json",
    "-rf",
    "a b",
    "a\nb",
    "é漢🙂",
    "x" * 128,
    "漢" * 128,
    "🙂" * 128,
]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Return a fresh set of keys."""
    made = Keys(tmp_path / "keys")
    made.make()
    return made


def mode(path: Path) -> int:
    """Return a path's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_their_owner_can_read_the_keys(tmp_path: Path, umask: int) -> None:
    """Any user of the machine could give orders in Lictor's name."""
    before = os.umask(umask)
    try:
        keys = Keys(tmp_path / "keys")
        keys.make()
        keys.add_person("bob", ("stop",))
        keys.agent_key_file("invoice-bot")
    finally:
        os.umask(before)
    for path in [keys.folder, *keys.folder.rglob("*")]:
        allowed = 0o700 if path.is_dir() else 0o644 if path.name == "root.pub" else 0o600
        assert mode(path) | allowed == allowed, path
    assert readable_by_others(keys.folder) == []


def test_loosened_files_are_found(keys: Keys) -> None:
    """`lictor doctor` would call a folder safe that every user can read."""
    (keys.folder / "master.key").chmod(0o640)
    assert readable_by_others(keys.folder) == [keys.folder / "master.key"]


def test_keys_are_never_made_anew_over_old_ones(keys: Keys) -> None:
    """A second `lictor keys init` would lock every enrolled agent out for good."""
    before = contents(keys.folder)
    with pytest.raises(KeysMissing, match="exist already"):
        keys.make()
    assert contents(keys.folder) == before


@pytest.mark.parametrize("left", ["root.key", "root.pub", "master.key", "list.json"])
def test_a_rest_of_old_keys_is_not_written_over(tmp_path: Path, left: str) -> None:
    """A half-deleted folder would be mixed with new keys, and nobody could tell which are which."""
    (tmp_path / left).write_text("old", encoding="utf-8")
    with pytest.raises(KeysMissing, match="exist already"):
        Keys(tmp_path).make()
    assert contents(tmp_path) == {left: b"old"}


def test_a_persons_key_is_never_made_anew(keys: Keys) -> None:
    """A name used twice would replace the first person's key, or end in a stack trace."""
    keys.add_person("bob", ("stop",))
    before = contents(keys.folder)
    with pytest.raises(KeysMissing, match="exists already"):
        keys.add_person("bob", ("policy",))
    assert contents(keys.folder) == before


def test_every_role_has_a_key_of_its_own_on_the_list(keys: Keys) -> None:
    """One part of Lictor could not sign, or could sign for another."""
    entries = {entry.name: entry for entry in keys.key_list().keys}
    assert set(entries) == {*ROLES, OPERATOR}
    assert len({entry.public for entry in entries.values()}) == len(entries)
    for name, entry in entries.items():
        signer = keys.signer(f"people/{name}" if name == OPERATOR else name)
        assert signer.key_id == entry.key_id == key_id_of(public_bytes(signer.private))
    assert entries[OPERATOR].may == OPERATOR_MAY


def test_the_signed_list_is_believed_by_who_pinned_the_root_key(keys: Keys) -> None:
    """No agent would believe any order."""
    output, ring = keys.signed_list(TOPICS), keys.keyring()
    assert (output.topic, output.key) == ("t.policies", KEY_LIST)
    assert ring.load(output.topic, output.key, output.headers, output.value or b"")
    assert len(ring.keys) == len(ROLES) + 1


def test_revoking_marks_the_key_and_raises_the_version(keys: Keys) -> None:
    """A stolen key would stay good, because everybody keeps the list they know."""
    before = keys.key_list()
    keys.revoke(before.keys[0].key_id)
    after = keys.key_list()
    assert after.version == before.version + 1
    assert [entry.revoked for entry in after.keys] == [True, *[False] * (len(before.keys) - 1)]
    ring = keys.keyring()
    for found in (keys.signed_list(TOPICS),):
        ring.load(found.topic, found.key, found.headers, found.value or b"")
    assert ring.keys[before.keys[0].key_id][0].revoked


def test_revoking_an_unknown_key_changes_nothing(keys: Keys) -> None:
    """A misspelt id would look revoked, and the stolen key stay good."""
    before = contents(keys.folder)
    with pytest.raises(KeysMissing, match="no key 0123 on the list"):
        keys.revoke("0123")
    assert contents(keys.folder) == before


def test_a_new_person_raises_the_version(keys: Keys) -> None:
    """Workers would keep the list without the person, and refuse what they sign."""
    entry = keys.add_person("bob", ("stop", "pause"))
    assert keys.key_list().version == 2
    assert keys.key_list().keys[-1] == entry
    assert (entry.role, entry.may) == ("person", ("stop", "pause"))


@pytest.mark.parametrize("agent_id", HOSTILE_IDS, ids=ascii)
def test_no_agent_id_leads_out_of_the_folder(keys: Keys, agent_id: str) -> None:
    """An agent's name could write over a file of whoever enrols it."""
    before = contents(keys.folder.parent)
    path = keys.agent_key_file(agent_id)
    assert path.resolve().parent == (keys.folder / "agents").resolve()
    assert set(contents(keys.folder.parent)) - set(before) == {str(path.relative_to(keys.folder.parent))}
    assert bytes.fromhex(path.read_text(encoding="ascii").strip()) == agent_key(keys.master(), agent_id)
    assert mode(path) == 0o600


def test_each_agent_has_a_file_of_its_own(keys: Keys) -> None:
    """Two agents would share a key, and one could speak in the other's name."""
    names = [*HOSTILE_IDS, "x" * 127, "X" * 128, "a", "A", "61"]
    assert len({keys.agent_key_file(name) for name in names}) == len(names)


def test_an_agents_key_is_the_same_each_time_and_mended_where_it_is_not(keys: Keys) -> None:
    """An agent would be enrolled with a key that `detect` does not know."""
    path = keys.agent_key_file("bot")
    first = path.read_bytes()
    assert keys.agent_key_file("bot").read_bytes() == first
    path.write_bytes(b"\xff damaged")
    assert keys.agent_key_file("bot").read_bytes() == first
    assert mode(path) == 0o600


@pytest.mark.parametrize("damage", [b"", b"zz" * 32, b"ab" * 31, b"ab" * 33, b"\xff\xfe\x00", b"ab" * 32 + b" ab"])
@pytest.mark.parametrize("name", ["detect.key", "master.key", "root.key", "root.pub", "people/operator.key"])
def test_a_damaged_key_file_is_named_in_one_line(keys: Keys, name: str, damage: bytes) -> None:
    """A user would be left with a stack trace and no idea which file to restore."""
    (keys.folder / name).write_bytes(damage)
    ask = {
        "detect.key": lambda: keys.signer("detect"),
        "people/operator.key": lambda: keys.signer(f"people/{OPERATOR}"),
        "master.key": keys.master,
        "root.key": lambda: keys.signed_list(TOPICS),
        "root.pub": keys.keyring,
    }[name]
    with pytest.raises(KeysMissing) as missing:
        ask()
    assert name in str(missing.value)
    assert "\n" not in str(missing.value)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff", b'{"version": 0, "issued_us": 1, "keys": []}'])
def test_a_damaged_key_list_is_named_in_one_line(keys: Keys, damage: bytes) -> None:
    """`lictor up` would end in a stack trace."""
    (keys.folder / "list.json").write_bytes(damage)
    with pytest.raises(KeysMissing, match=r"list\.json is damaged") as missing:
        keys.key_list()
    assert "\n" not in str(missing.value)


def test_missing_keys_say_how_to_make_them(tmp_path: Path) -> None:
    """A new user would not know what to do."""
    keys = Keys(tmp_path / "none")
    assert not keys.exist()
    with pytest.raises(KeysMissing, match="lictor keys init"):
        keys.master()


def test_a_write_that_is_cut_short_leaves_the_old_list(keys: Keys) -> None:
    """A full disk while revoking would leave no list at all, and nothing would be believed."""
    (keys.folder / "list.new").write_text("half a li", encoding="utf-8")
    assert isinstance(keys.key_list(), KeyList)
    keys.revoke(keys.key_list().keys[0].key_id)
    assert keys.key_list().version == 2
    assert not (keys.folder / "list.new").exists()


@pytest.mark.parametrize("place", ["keys", "keys/people"])
def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, place: str) -> None:
    """A file that happens to be called `keys` would end in a stack trace."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="set LICTOR_KEYS"):
        Keys(tmp_path / "keys").make()
