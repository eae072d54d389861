"""What the containers may do and know, read from docker-compose.yml and the Dockerfile; no Docker is needed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from lictor.cli import add_verbs
from lictor.cli.app import app
from lictor.cli.run import READ_BY
from lictor.keys import Keys
from lictor.settings import Settings
from lictor.workers import ROLES
from schemas.errors import KeysMissing
from streams.topics import Topics

add_verbs(app)

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("lictor:"))
LASTING = sorted(name for name, service in SERVICES.items() if service["restart"] != "no")
ALL_KEYS = {"init", "cli"}
"""Services that a person runs: one makes the keys, the other gives orders with the operator's."""


def mounts(name: str) -> dict[str, str]:
    """Return what a service mounts: source → target, with `:ro` where it may not write."""
    return dict(volume.split(":", 1) for volume in SERVICES[name].get("volumes", ()))


def environment(name: str) -> dict[str, str]:
    """Return a service's environment, with compose's variables filled in."""
    found = {"CLICKHOUSE_PASSWORD": "secret", "ANALYST_PASSWORD": "secret"}

    def value(match: re.Match[str]) -> str:
        variable, _, default = match[1].partition(":-")
        return found.get(variable.split(":?")[0], default)

    return {
        variable: re.sub(r"\$\{([^}]*)\}", value, str(text))
        for variable, text in SERVICES[name].get("environment", {}).items()
    }


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield every `lictor` command line of the file: what containers run and what checks their health."""
    for name in OURS:
        yield name, SERVICES[name]["command"]
        test = SERVICES[name].get("healthcheck", {}).get("test", ())
        if test:
            assert test[:2] == ["CMD", "lictor"]
            yield f"{name} health", test[2:]


def parse(words: list[str]) -> list[str]:
    """Return the verbs that a command line names, all its options parsed, nothing run."""
    command: click.Command = app
    context = app.make_context("lictor", list(words))
    verbs = []
    while isinstance(command, click.Group):
        if command.invoke_without_command and not [*context._protected_args, *context.args]:
            break
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        verbs.append(str(name))
        command, context = found, found.make_context(name, rest, parent=context)
    return verbs


def test_the_parts_are_there() -> None:
    """Without one of these containers there is no detection, no response or no history."""
    assert {"kafka", "clickhouse", "init", *ROLES} <= SERVICES.keys()
    assert {name: SERVICES[name]["command"] for name in ROLES} == {role: ["worker", role] for role in ROLES}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """An image that changes under a tag changes what guards the agents without anybody having decided it."""
    _, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.match(r"\d+\.\d+", tag), SERVICES[name]["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_gets_more_of_the_machine_than_it_needs(name: str) -> None:
    """A hole in one part must not hand an attacker the machine, and with it every key."""
    service = SERVICES[name]
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"} & service.keys()
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not [source for source in mounts(name) if source.startswith(("/", "~", ".."))]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_cannot_change_themselves(name: str) -> None:
    """An attacker who gets into a role must find nowhere to stay."""
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's
    assert SERVICES[name]["init"] is True


@pytest.mark.parametrize("name", LASTING)
def test_what_runs_for_long_says_whether_it_is_well_and_comes_back(name: str) -> None:
    """A part that hangs or dies unseen is detection that is not there."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    if name in OURS:
        assert service["healthcheck"]["test"] == ["CMD", "lictor", "worker", "--check", name]


@pytest.mark.parametrize("name", ROLES)
def test_roles_start_once_what_they_need_is_there(name: str) -> None:
    """A role that starts before topics and keys are there would fail, or read half of what it must know."""
    needed = {"kafka": "service_healthy", "init": "service_completed_successfully"}
    if name == "archive":
        needed["clickhouse"] = "service_healthy"
    assert {part: how["condition"] for part, how in SERVICES[name]["depends_on"].items()} == needed


@pytest.mark.parametrize("name", SERVICES)
def test_only_loopback_ports_are_published(name: str) -> None:
    """A broker or store that answers the network would let strangers publish steps and read the history."""
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("127.0.0.1:"), port


def test_each_role_is_given_its_keys_and_no_others() -> None:
    """The process that serves SQL must hold no private key, and only `detect` may be able to forge an agent's mark."""
    keys = {name: {source for source in mounts(name) if source.startswith("keys")} for name in SERVICES}
    holders = {name for name in SERVICES if "keys" in keys[name]}
    assert holders == ALL_KEYS
    assert keys["detect"] == {"keys-detect"}
    assert keys["respond"] == {"keys-respond"}
    assert keys["profile"] == {"keys-profile"}
    assert keys["archive"] == {"keys-archive"}
    assert READ_BY["archive"] == ("root.pub",)
    assert keys["kafka"] == keys["clickhouse"] == set()
    assert {mounts(name)[f"keys-{name}"] for name in READ_BY} == {"/keys:ro"}
    given = {f"{role}=/given/{role}" for role in READ_BY}
    assert set(SERVICES["init"]["command"]) == {"init", "--give", *given}
    assert {mounts("init")[f"keys-{role}"] for role in READ_BY} == {f"/given/{role}" for role in READ_BY}


def test_what_a_role_is_given_is_what_it_reads(tmp_path: Path) -> None:
    """One file too few and the role does not start; one too many and a hole in it gives that key away."""
    keys = Keys(tmp_path / "keys")
    keys.make()
    for role, names in READ_BY.items():
        folder = tmp_path / role
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes((keys.folder / name).read_bytes())
        given = Keys(folder)
        assert given.root_public() == keys.root_public()
        if role != "archive":
            assert given.signer(role).key_id == keys.signer(role).key_id
        for secret in ("people/operator", *({"detect", "respond", "profile", "audit"} - {role})):
            with pytest.raises(KeysMissing):
                given.signer(secret)
        with pytest.raises(KeysMissing):
            given.signed_list(Topics())
    assert Keys(tmp_path / "detect").master() == keys.master()
    for role in ("respond", "profile", "archive"):
        with pytest.raises(KeysMissing):
            Keys(tmp_path / role).master()


@pytest.mark.parametrize("name", SERVICES)
def test_passwords_come_from_the_environment(name: str) -> None:
    """A password that stands in the file is known to everybody who has the repository."""
    for variable, text in SERVICES[name].get("environment", {}).items():
        if "PASSWORD" in variable or variable == "LICTOR_CLICKHOUSE":
            assert re.search(r"\$\{(CLICKHOUSE|ANALYST)_PASSWORD", str(text)), variable


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_known(name: str) -> None:
    """A misspelt setting stops a container at its start, on the day of an upgrade."""
    settings = Settings.read({"LICTOR_HOME": "/var/lib/lictor", "LICTOR_KEYS": "/keys", **environment(name)})
    assert settings.kafka == "kafka:19092"
    if name in ("archive", "cli"):
        assert (
            settings.clickhouse
            == f"clickhouse://{'lictor' if name == 'archive' else 'analyst'}:secret@clickhouse:8123/"
        )
    else:
        assert not settings.clickhouse


@pytest.mark.parametrize(("name", "words"), list(command_lines()))
def test_every_command_line_parses(name: str, words: list[str]) -> None:
    """A verb or option that was renamed must not be found out by a container that restarts for ever."""
    assert parse(words) == [words[0]]


def test_the_default_policy_is_where_init_looks_for_it() -> None:
    """Without a policy nothing starts."""
    policy = environment("init")["LICTOR_POLICY"]
    assert mounts("init")["./policies"] == "/policies:ro"
    assert (ROOT / "policies" / policy.removeprefix("/policies/")).is_file()


def test_the_store_is_reached_by_those_who_need_it() -> None:
    """`detect` and `respond` have no business in the history: a hole in them must not reach it."""
    assert {name for name in SERVICES if "history" in SERVICES[name]["networks"]} == {"clickhouse", "archive", "cli"}
    assert "stream" not in SERVICES["clickhouse"]["networks"]


def stages() -> list[str]:
    """Return the stages of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return ["FROM " + stage for stage in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]]


def test_the_image_is_small_in_rights_and_tools() -> None:
    """Root, a compiler or an installer inside the image is half of an attacker's work done."""
    build, final = stages()
    assert re.search(r"^USER (\d+):\1$", final, re.MULTILINE)
    assert "USER 0" not in final
    assert final.rstrip().endswith('ENTRYPOINT ["lictor"]')
    assert not re.search(r"apt-get|pip install|uv sync|gcc|build-essential|curl|git ", final)
    assert "--frozen" in build
    assert all(re.match(r"FROM python:3\.11-slim\S*( AS build)?\n", stage) for stage in (build, final))


def test_volumes_are_mounted_where_the_image_has_folders_of_our_user() -> None:
    """A volume on a folder that the image lacks belongs to root, and nothing can be written to it."""
    made = re.search(r"install -d -o lictor -g lictor -m 0700 (.+)", stages()[1])
    assert made is not None
    named = {
        target.removesuffix(":ro") for name in OURS for source, target in mounts(name).items() if "/" not in source
    }
    assert named <= set(made[1].split())


def test_the_build_sees_no_secret() -> None:
    """What is in the build context can end up in an image that is passed on."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert lines[1] == "**", "everything is left out that is not named"
    assert not [name for name in kept if name.startswith((".", "tests", "deploy"))]
    assert all((ROOT / name).exists() for name in kept), kept
