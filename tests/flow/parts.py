"""The real parts flow tests run on: an address from the environment, else the embedded broker. Printed at the start."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lictor.kafka import EmbeddedKafka

ADDRESS = "LICTOR_TEST_KAFKA"


def chosen() -> str:
    """Say which Kafka the tests use."""
    address = os.environ.get(ADDRESS)
    return f"Kafka at {address}, from {ADDRESS}" if address else "embedded Kafka, one a worker; embedded ClickHouse"


@contextmanager
def kafka() -> Iterator[str]:
    """Yield the address of a broker for this process's tests; each test takes a namespace of its own in it."""
    address = os.environ.get(ADDRESS)
    if address:
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="lictor-test-", ignore_cleanup_errors=True) as folder:
        broker = EmbeddedKafka(Path(folder) / "kafka")
        broker.start()
        try:
            yield broker.bootstrap
        finally:
            broker.stop()
