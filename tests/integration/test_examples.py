"""Every program in examples/ runs to its end, as its reader would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    """From an empty directory, with warnings as errors, within 30 s; it prints something, and nothing as an error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESHLIB_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""
    if os.environ.get("CI") == "true":
        assert not done.stdout.startswith("skipped:"), done.stdout


def test_examples_are_listed() -> None:
    """examples/README.md names each of them, and no other."""
    listed = (EXAMPLES[0].parent / "README.md").read_text()
    assert [path.name for path in EXAMPLES if f"[{path.name}]({path.name})" not in listed] == []
    assert listed.count("](") == len(EXAMPLES)
