"""The same detectors in a Faust agent, for comparison: `python -m benchmarks.faust_detect '{"home": …}'`.

Each trace's state is kept in a Faust table, whose changelog is what lets another worker take over, as our checkpoints do.
"""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
from aiokafka import TopicPartition

from benchmarks.detect import make_detect
from benchmarks.kafka_bench import Bench
from benchmarks.rule_mix import rules
from detectors.engine.engine import Engine
from detectors.engine.load import load_rules
from detectors.state import encode_state
from lictor.keys import Keys
from lictor.settings import Settings
from schemas.rule_bundle import RuleBundle


def main() -> None:
    """Run one Faust worker until `count` steps were judged; print the rate."""
    where = json.loads(sys.argv[1])
    settings = replace(Settings.read({}), home=Path(where["home"]), kafka=where["kafka"])
    bench = Bench(settings, Keys(settings.keys_folder))
    app = faust.App(
        f"bench-faust-{where['rules']}",
        broker=f"kafka://{settings.kafka}",
        store="memory://",
        datadir=where["home"] + "/faust",
        web_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=65536,
        broker_max_poll_records=5000,
    )
    steps = app.topic(settings.topics.steps.name, value_type=bytes, value_serializer="raw", key_serializer="raw")
    findings = app.topic(settings.topics.findings.name, value_type=bytes, value_serializer="raw", key_serializer="raw")
    traces = app.Table("traces", partitions=settings.partitions, key_type=bytes, value_type=bytes)
    state: dict[str, Any] = {"seen": 0, "began": 0.0}

    @app.agent(steps)
    async def judge(stream: Any) -> None:
        detect, _ = await make_detect(bench)
        engine = Engine(load_rules(rules(where["seed"], where["rules"]), untested=True).rules)
        detect.take_rules(RuleBundle.of({}, 1, 1), engine)
        for partition in range(settings.partitions):
            detect.open(partition, {})
        async for event in stream.events():
            state["began"] = state["began"] or time.perf_counter()
            message = event.message
            record = _record(message)
            for output in await detect.judge(TopicPartition(message.topic, message.partition), [record]):
                if output.topic == settings.topics.findings.name:
                    await findings.send(key=output.key.encode(), value=output.value, headers=output.headers)
            entry = detect.memories[message.partition].get(message.key.decode())
            traces[message.key] = encode_state(entry) if entry is not None else b""
            state["seen"] += 1
            if state["seen"] == where["count"]:
                took = time.perf_counter() - state["began"]
                figures = {
                    "steps": state["seen"],
                    "steps_per_s": round(state["seen"] / took),
                    "findings": detect.counters["findings"],
                }
                print(json.dumps(figures), flush=True)
                asyncio.get_running_loop().call_soon(sys.exit, 0)

    worker = faust.Worker(app, loglevel="ERROR", blocking_timeout=None, redirect_stdouts=False)
    worker.execute_from_commandline()


def _record(message: Any) -> Any:
    """Return a Faust message as the record that our streams read."""
    return SimpleNamespace(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=int(message.timestamp * 1000),
        key=message.key,
        value=message.value,
        headers=tuple((message.headers or {}).items())
        if isinstance(message.headers, dict)
        else tuple(message.headers or ()),
    )


if __name__ == "__main__":
    main()
