"""Fuzz with Atheris: `python -m tests.fuzz [--seconds N] [TARGET …]`; what breaks a target is kept in its corpus."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

# What is fuzzed is imported late: Atheris follows only what it sees being imported.
OURS = ["schemas", "detectors", "tests.fuzz.targets", "sigma", "yaml"]
MOST_BYTES = 16_384


def main() -> int:
    """Fuzz each target in a process of its own; return how many broke."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("targets", nargs="*", metavar="TARGET", help="all, if none is named")
    asked.add_argument("--seconds", type=int, default=60, help="for each target")
    asked.add_argument("--in-place", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.in_place:
        fuzz(given.targets[0], given.seconds)
        return 0
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - see above

    for name in given.targets:
        if name not in TARGETS:
            asked.error(f"there is no target {name}; there are {', '.join(TARGETS)}")
    broken = [name for name in given.targets or TARGETS if not survives(name, given.seconds)]
    sys.stdout.write(f"broken: {', '.join(broken)}\n" if broken else "nothing broke\n")
    return len(broken)


def survives(name: str, seconds: int) -> bool:
    """Tell whether a target held for that long."""
    sys.stdout.write(f"fuzzing {name} for {seconds} s …\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "tests.fuzz", "--in-place", "--seconds", str(seconds), name]
    return subprocess.run(command, check=False).returncode == 0


def fuzz(name: str, seconds: int) -> None:
    """Run libFuzzer on one target; ends the process."""
    try:
        import atheris  # noqa: PLC0415 - a dependency group of its own
    except ImportError:
        sys.exit("Atheris is not here: `uv sync --group fuzz` (Linux only)")
    with atheris.instrument_imports(include=OURS):
        corpora = _corpora()
    with tempfile.TemporaryDirectory(prefix="lictor-fuzz-") as folder:
        for number, data in enumerate(corpora.corpus_of(name)):
            (Path(folder) / f"{number:04d}").write_bytes(data)
        broken = corpora.CORPUS / name
        broken.mkdir(parents=True, exist_ok=True)
        flags = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=20", "-rss_limit_mb=4096", "-seed=1"]
        atheris.Setup([name, *flags, f"-artifact_prefix={broken}/", folder], corpora.TARGETS[name])
        atheris.Fuzz()


def _corpora() -> ModuleType:
    from tests.fuzz import corpora  # noqa: PLC0415 - see above

    return corpora


if __name__ == "__main__":
    sys.exit(main())
