"""Rules from the topic into judgement: compiled by a child process, kept by digest, handed over when they are ready.

The child keeps the event loop free and takes a crash upon itself. What cannot be compiled is refused whole, and the rules
that were in force stay in force.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from detectors.engine.engine import Engine, read_engine
from schemas.errors import BadRecord
from schemas.rule_bundle import RuleBundle
from streams.knowledge import Knowledge

log = logging.getLogger("lictor.rules")

COMPILE_S: Final = 120.0
KEPT_FILES: Final = 8
MAX_ERROR_CHARS: Final = 500


@dataclass(slots=True)
class RuleLoader:
    """Follows the newest bundle that `Knowledge` has taken; calls `ready` with each engine made from one."""

    know: Knowledge
    command: Sequence[str]
    """Reads a bundle's value on stdin, writes the compiled rules to stdout; says on stderr why it cannot."""
    folder: Path
    """Where compiled rules are kept, by the digest of what they were made from."""
    ready: Callable[[RuleBundle, Engine], None]
    made: int = field(default=0, init=False)
    """Version of the last bundle that was looked at."""

    async def load(self) -> None:
        """Compile what is there now, so that not a step is judged without it."""
        bundle = self.know.bundle
        if bundle is None or bundle.version == self.made:
            return
        self.made = bundle.version
        try:
            engine = await self._engine(bundle)
        except BadRecord as error:
            self.know.refuse_bundle(bundle, str(error)[:MAX_ERROR_CHARS])
            log.warning("rule bundle %d is not in force: %s", bundle.version, error)
            return
        self.ready(bundle, engine)

    async def run(self) -> None:
        """Compile each bundle that comes, for ever."""
        while True:
            await self.know.bundle_came.wait()
            self.know.bundle_came.clear()
            await self.load()

    async def _engine(self, bundle: RuleBundle) -> Engine:
        value = bundle.value()
        kept = place_of(self.folder, bundle.digest)
        with contextlib.suppress(OSError, BadRecord):
            return await asyncio.to_thread(read_engine, kept.read_bytes())
        compiled = await self._compiled(value)
        engine = await asyncio.to_thread(read_engine, compiled)
        await asyncio.to_thread(keep, kept, compiled)
        return engine

    async def _compiled(self, value: bytes) -> bytes:
        child = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, said = await asyncio.wait_for(child.communicate(value), COMPILE_S)
        except TimeoutError:
            raise BadRecord("rules", f"compiling took longer than {COMPILE_S:.0f} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            why = said.decode("utf-8", "replace").strip()
            raise BadRecord("rules", why or f"the compiler ended with status {child.returncode}")
        return out


def place_of(folder: Path, digest: str) -> Path:
    """Return where the engine of a bundle is kept; whatever a digest says, it names no other place."""
    return folder / f"{hashlib.blake2b(digest.encode(), digest_size=16).hexdigest()}.rules"


def keep(place: Path, compiled: bytes) -> None:
    """Write whole or not at all; without room on the disk the next start compiles again."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = place.with_suffix(f".{os.getpid()}.new")
        fresh.write_bytes(compiled)
        fresh.replace(place)
        old = sorted(place.parent.glob("*.rules"), key=lambda path: path.stat().st_mtime)[:-KEPT_FILES]
        for path in old:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("compiled rules are not kept: %s", error)
