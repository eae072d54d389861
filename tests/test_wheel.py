"""The wheels, installed away from the checkout, beside a user's own `schemas.py`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def uv() -> str:
    """The uv that made this environment."""
    found = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    assert Path(found).exists(), "uv is needed to build the wheels; `make sync` gets it"
    return found


def run(*command: str, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command without anything of the checkout in its environment."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LICTOR_", "PYTHONPATH", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        command, cwd=cwd, env={**ours, **env}, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


def test_the_wheels_work_away_from_the_checkout(uv: str, tmp_path: Path) -> None:
    """People install wheels; a folder of theirs that is called like one of ours must not break anything."""
    for package in (".", "sdk", "native"):
        run(uv, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "dist"), str(ROOT / package), cwd=tmp_path)
    wheels = [str(path) for path in (tmp_path / "dist").glob("*.whl")]
    run(uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"), cwd=tmp_path)
    python = str(tmp_path / "venv" / "bin" / "python")
    locked = run(uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace", "--no-hashes", cwd=ROOT).stdout
    (tmp_path / "locked.txt").write_text(locked, encoding="utf-8")
    run(uv, "pip", "install", "--quiet", "--python", python, "-r", str(tmp_path / "locked.txt"), *wheels, cwd=tmp_path)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    ours = {path.name for path in site.iterdir()} & {
        "schemas",
        "detectors",
        "streams",
        "storage",
        "responders",
        "rules",
        "tests",
    }
    assert ours == set(), "site-packages gets `lictor` and `lictor_agent`, nothing else of ours"
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "schemas.py").write_text("raise RuntimeError('a user\\'s own module')\n", encoding="utf-8")
    lictor = str(tmp_path / "venv" / "bin" / "lictor")
    assert "Commands:" in run(lictor, "--help", cwd=home).stdout
    assert "Commands:" in run(python, "-P", "-m", "lictor", "--help", cwd=home).stdout
    figures = json.loads(run(lictor, "demo", "--json", cwd=home).stdout)
    assert (figures["runs_stopped"], figures["attack_completed"]) == (1, False)
