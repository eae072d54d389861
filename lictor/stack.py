"""Everything on this machine: broker, topics, keys, policies, and one child process a role, kept alive.

`lictor up` runs it until Ctrl-C; `demo`, `ingest` and tests run it for as long as they need it.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from lictor import interrupts
from lictor.admin import ensure_topics
from lictor.bundles import folder as rules_folder
from lictor.bundles import publish_bundle, rule_sources
from lictor.folders import lock_folder, make_folder
from lictor.interrupts import unbroken, undisturbed
from lictor.kafka import EmbeddedKafka
from lictor.keys import Keys
from lictor.logs import Log
from lictor.policy_file import Policies, load_policies
from lictor.policy_publish import check
from lictor.ports import Ports, is_free
from lictor.processes import die_with_parent, name_of_signal
from lictor.publish import publish_policies
from lictor.settings import Settings
from schemas.errors import BadInput, LictorError

READY_S: Final = 60.0
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MOST_S: Final = 30.0
HEALTHY_S: Final = 60.0
STOP_S: Final = 10.0
LEFT_S: Final = 30.0
"""How long a start waits for the parts of a `lictor up` that was killed: they end by themselves."""

Say = Callable[[str, str], None]
"""Told of each component and what became of it."""


@dataclass(slots=True)
class Component:
    """One child process."""

    name: str
    role: str
    log: Log
    process: "subprocess.Popen[bytes] | None" = None
    ready: threading.Event = field(default_factory=threading.Event)
    said: dict[str, Any] = field(default_factory=dict)
    restarts: int = 0
    told_restarts: int = 0
    backoff_s: float = BACKOFF_FIRST_S
    started_at: float = 0.0
    due_at: float = 0.0


class Stack:
    """Use as a context manager. `wait` keeps the children alive until `stop` is called from elsewhere."""

    def __init__(
        self,
        settings: Settings,
        *,
        roles: Sequence[str] = ("detect", "respond", "profile", "archive"),
        policies: Policies | None = None,
        say: Say = lambda _name, _what: None,
    ) -> None:
        self.settings = settings
        self.policies = policies
        self.say = say
        self.keys = Keys(settings.keys_folder)
        self.kafka: EmbeddedKafka | None = None
        names = [
            (f"detect-{i + 1}" if settings.detect_workers > 1 else "detect", "detect")
            for i in range(settings.detect_workers)
        ]
        names += [("respond", "respond"), ("profile", "profile"), ("archive", "archive")]
        self._log_folder = settings.home / "logs"
        self.components = [
            Component(name, role, Log(self._log_folder / f"{name}.log")) for name, role in names if role in roles
        ]
        self.stopping = threading.Event()
        self.ports = Ports(settings.home / "ports.json")
        self._told_of_others = False
        self._lock: IO[bytes] | None = None

    @property
    def sql_address(self) -> str:
        """Address of the embedded SQL endpoint; empty without one."""
        return next((str(c.said.get("sql", "")) for c in self.components if c.role == "archive"), "")

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:
            with undisturbed():
                if isinstance(error, KeyboardInterrupt):
                    self.say("lictor", "interrupted; stopping what was started …")
                self._close()
            if isinstance(error, OSError):
                where = str(error.filename or self.settings.home)
                raise BadInput(f"cannot use the data folder: {error.strerror}; set LICTOR_HOME", where=where) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._lock = lock_folder(self.settings.home, wait_s=LEFT_S, ending=self._others_are_ending)
        make_folder(self._log_folder)
        if not self.keys.exist():
            self.keys.make()
            self.say("keys", f"made in {self.keys.folder}")
        elif added := self.keys.add_roles():
            self.say("keys", f"added for {', '.join(added)}")
        if not self.settings.kafka:
            self._start_kafka()
        interrupts.run(self._prepare())
        for component in self.components:
            self._spawn(component)
        for component in self.components:
            self._wait_ready(component)
        self._write_run_file()

    def _others_are_ending(self) -> bool:
        """Tell whether whoever has the data folder is on its way out: its `lictor up` is gone, its parts are not."""
        if self.settings.running() or not (self.settings.home / "run.json").exists():
            return False
        if not self._told_of_others:
            self._told_of_others = True
            self.say("lictor", "waiting for the parts of a Lictor that was killed to end …")
        return True

    def _start_kafka(self) -> None:
        wanted = self.ports.of("kafka")
        self.kafka = EmbeddedKafka(self.settings.home / "kafka", wanted=wanted, wait_s=LEFT_S)
        started = time.monotonic()
        self.kafka.start()
        self.settings = replace(self.settings, kafka=self.kafka.bootstrap)
        self.say("kafka", f"ready at {self.kafka.bootstrap} after {time.monotonic() - started:.1f} s")
        self._note_port("kafka", wanted, self.kafka.port)

    def _note_port(self, part: str, wanted: int, taken: int) -> None:
        """Remember a part's port; say it where it is another than before: somebody was told the old one."""
        if wanted and wanted != taken:
            self.say(part, f"port {wanted}, which it had before, is taken by another program; now it is {taken}")
        with contextlib.suppress(OSError):  # on a full disk it is told the next time, and not now
            self.ports.remember(part, taken)

    async def _prepare(self) -> None:
        settings = self.settings
        await ensure_topics(settings.kafka, settings.topics, settings.partitions, settings.kafka_client)
        policies = self.policies or load_policies(settings.policy)
        count = await publish_policies(settings.kafka, settings, self.keys, policies)
        self.say("policy", f"version {policies.rules.version} in force, {count} records published")
        sources = rule_sources([rules_folder(), *settings.rules])
        if sources:
            check(sources)
            bundle = await publish_bundle(settings.kafka, settings, self.keys, sources)
            self.say("rules", f"version {bundle.version} in force, {bundle.files} files")

    def _spawn(self, component: Component) -> None:
        component.ready.clear()
        component.started_at = time.monotonic()
        with component.log.open() as log, unbroken():
            component.process = subprocess.Popen(  # noqa: S603 - our own argv
                [sys.executable, "-m", "lictor", "worker", component.role],
                env={**self.environment(), "LICTOR_SQL_PORT": str(self._sql_port())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=(self._lock.fileno(),) if self._lock else (),  # who comes next waits until it has ended
                preexec_fn=die_with_parent,  # noqa: PLW1509 - only prctl
            )
        threading.Thread(target=self._listen, args=(component, component.process), daemon=True).start()

    def _sql_port(self) -> int:
        """Return the port to serve SQL at: the one that was asked for, else the one it had, else 0 for any."""
        before = self.ports.of("sql")
        return self.settings.sql_port or (before if before and is_free(before) else 0)

    def environment(self) -> dict[str, str]:
        """Return the environment in which a role, or an agent of this machine, finds everything."""
        settings = self.settings
        said = {
            "LICTOR_HOME": str(settings.home),
            "LICTOR_KAFKA": settings.kafka,
            "LICTOR_KEYS": str(settings.keys_folder),
            "LICTOR_NAMESPACE": settings.namespace,
            "LICTOR_SQL_PORT": str(settings.sql_port),
        }
        paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, **said, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}

    def _listen(self, component: Component, process: "subprocess.Popen[bytes]") -> None:
        """Take the line in which a role says that it is ready."""
        for line in process.stdout or ():
            with contextlib.suppress(ValueError):
                component.said = json.loads(line)
                component.ready.set()
        if process.stdout is not None:
            process.stdout.close()

    def _wait_ready(self, component: Component) -> None:
        ends = time.monotonic() + READY_S
        while not component.ready.wait(0.05):
            status = component.process.poll() if component.process else None
            if status is not None:
                raise LictorError(
                    f"{component.name} ended while starting ({name_of_signal(status)}): {component.log.last_words()}"
                )
            if time.monotonic() > ends:
                raise LictorError(
                    f"{component.name} was not ready within {READY_S:.0f} s: {component.log.last_words()}"
                )
        pid = component.process.pid if component.process else 0
        sql = str(component.said.get("sql", ""))
        self.say(component.name, f"ready, pid {pid}{f', SQL at http://{sql}' if sql else ''}")
        self._note_sql(component)

    def _note_sql(self, component: Component) -> None:
        port = str(component.said.get("sql", "")).rpartition(":")[2]
        if port:
            self._note_port("sql", 0 if self.settings.sql_port else self.ports.of("sql"), int(port))

    def _write_run_file(self) -> None:
        """Tell other commands of this data folder where everything is."""
        pids = {component.name: component.process.pid for component in self.components if component.process}
        said = {
            "pid": os.getpid(),
            "kafka": self.settings.kafka,
            "sql": self.sql_address,
            "namespace": self.settings.namespace,
            "components": {**({"kafka": self.kafka.process.pid} if self.kafka and self.kafka.process else {}), **pids},
        }
        path = self.settings.home / "run.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(said), encoding="utf-8")
        fresh.replace(path)

    def wait(self) -> None:
        """Keep everything alive until `stopping` is set: what dies is started again, later each time it dies soon."""
        while not self.stopping.wait(0.1):
            changed = self._revive_kafka()
            for component in self.components:
                changed |= self._revive(component)
                component.log.bound()
            if changed:
                self._tell_others()

    def _tell_others(self) -> None:
        """Write the run file; on a full disk everything goes on all the same."""
        try:
            self._write_run_file()
        except OSError as error:
            self.say("lictor", f"cannot write {error.filename or 'run.json'}: {error.strerror}")

    def _revive_kafka(self) -> bool:
        kafka = self.kafka
        if kafka is not None:
            kafka.log.bound()
        if kafka is None or kafka.process is None or kafka.process.poll() is None:
            return False
        self.say("kafka", f"ended ({name_of_signal(kafka.process.returncode)}), starting again: {kafka.last_words()}")
        kafka.stop()
        try:
            kafka.start()
        except LictorError as error:
            self.say("kafka", f"did not come back: {error}")
            kafka.process = None
            self.stopping.wait(BACKOFF_FIRST_S)
            return True
        self.say("kafka", f"ready at {kafka.bootstrap}")
        return True

    def _revive(self, component: Component) -> bool:
        now = time.monotonic()
        if component.due_at:
            if now < component.due_at:
                return False
            component.due_at = 0.0
            component.restarts += 1
            self._spawn(component)
            return True
        if component.process is None or component.process.poll() is None:
            return self._tell_of_return(component)
        if now - component.started_at > HEALTHY_S:
            component.backoff_s = BACKOFF_FIRST_S
        how = name_of_signal(component.process.returncode)
        self.say(
            component.name, f"ended ({how}), starting again in {component.backoff_s:g} s: {component.log.last_words()}"
        )
        component.due_at = now + component.backoff_s
        component.backoff_s = min(BACKOFF_MOST_S, component.backoff_s * 2)
        return False

    def _tell_of_return(self, component: Component) -> bool:
        """Say, once, that a component that was started again is back."""
        if component.told_restarts == component.restarts or not component.ready.is_set():
            return False
        component.told_restarts = component.restarts
        self.say(component.name, f"ready again, pid {component.process.pid if component.process else 0}")
        self._note_sql(component)
        return True

    def close(self) -> None:
        """Stop all children, kindly first; leave none behind. Nothing disturbs it."""
        with undisturbed():
            self._close()

    def _close(self) -> None:
        self.stopping.set()
        processes = [component.process for component in self.components if component.process is not None]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        ends = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.kafka is not None:
            self.kafka.stop()
        if self._lock is not None:
            (self.settings.home / "run.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None
