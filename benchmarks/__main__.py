"""Every benchmark, one after another, into one page.

python -m benchmarks                 all of them; the page goes to benchmarks/results/latest.md
python -m benchmarks overhead pick   some of them, to the terminal only

What each measures, and the runs that are not among them (`envoy`, `soak`): benchmarks/README.md.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import machine

HERE = Path(__file__).parent
BENCHMARKS = {
    "imports": "Import time",
    "overhead": "Engine overhead over a bare call",
    "pick": "Picks, sets and memory",
    "control_path": "Control path beside a busy loop",
    "tracing": "OpenTelemetry",
    "decorators": "Decorators beside their peers",
    "balancing": "Balancing quality in virtual time",
    "http_e2e": "HTTP end to end",
}


def run(name: str) -> str:
    """One benchmark in a process of its own; its output."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks.{name} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def main(names: list[str]) -> None:
    """Run and print; write the page when all were run."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"unknown benchmark {unknown[0]!r}: known are {', '.join(BENCHMARKS)}")
    parts = []
    for name in names or BENCHMARKS:
        print(f"... {name}", file=sys.stderr, flush=True)
        output = run(name)
        print(output, flush=True)
        parts.append(f"## {BENCHMARKS[name]}\n\n`python -m benchmarks.{name}`\n\n{_block(output)}\n")
    if not names:
        where = f"{machine()}. Shared, noisy cores: trust ratios and medians, not digits."
        head = f"# Measured {datetime.now(UTC):%Y-%m-%d}\n\n{where}\n"
        results = HERE / "results"
        results.mkdir(exist_ok=True)
        (results / "latest.md").write_text("\n".join([head, *parts]))


def _block(output: str) -> str:
    """Markdown tables as they are, everything else as it was printed."""
    return output if output.lstrip().startswith(("#", "|")) else f"```text\n{output}\n```"


if __name__ == "__main__":
    main(sys.argv[1:])
