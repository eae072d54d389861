"""Who signed what, in the history: the archive reads the key list before the first record, and follows it."""

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from schemas.seal import KEY_ID
from schemas.verdict import Verdict
from streams.records import Output, signed
from tests.flow.world import PATIENCE_S, World


@contextmanager
def archive(world: World) -> Iterator[str]:
    """Run the archive's own process; yield the address at which it answers SQL."""
    settings = world.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LICTOR_")} | {
        "LICTOR_HOME": str(settings.home),
        "LICTOR_KAFKA": settings.kafka,
        "LICTOR_NAMESPACE": settings.namespace,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "lictor", "worker", "archive"], env=environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["sql"])
        finally:
            process.terminate()


def signers(sql: str, count: int) -> dict[str, str]:
    """Return verdict → who signed it, once there are enough."""
    query = urllib.parse.quote("SELECT verdict_id, signed_by FROM verdicts FORMAT JSONEachRow")
    ends = time.monotonic() + PATIENCE_S
    while True:
        with urllib.request.urlopen(f"http://{sql}/?query={query}", timeout=10) as answer:
            rows = [json.loads(line) for line in answer.read().splitlines()]
        if len(rows) >= count:
            return {row["verdict_id"]: row["signed_by"] for row in rows}
        assert time.monotonic() < ends, f"waited {PATIENCE_S:.0f} s for {count} verdicts, found {len(rows)}"


def word(verdict_id: str) -> Verdict:
    """Return a person's word about nothing in particular."""
    return Verdict(
        verdict_id=verdict_id, kind="verdict", agent_id="bot", word="benign", reason="r", person="p", time_us=1
    )


def test_the_history_names_who_signed_and_nobody_else(world: World) -> None:
    """Whoever can write to a topic could put a colleague's name under an order, and an audit would believe it."""
    operator = world.keys.signer("people/operator")
    verdicts = world.topics.verdicts
    good = signed(verdicts, "bot", word("good"), operator)
    claimed = Output(verdicts.name, "bot", word("claimed").value(), [(KEY_ID, operator.key_id.encode())])
    forged = replace(good, value=word("forged").value())
    world.publish(good, claimed, forged)
    with archive(world) as sql:
        assert signers(sql, 3) == {"good": operator.key_id, "claimed": "", "forged": ""}
        alice = world.keys.add_person("alice", ("verdict",))
        world.publish(
            world.keys.signed_list(world.topics),
            signed(verdicts, "bot", word("new"), world.keys.signer("people/alice")),
        )
        assert signers(sql, 4)["new"] == alice.key_id
