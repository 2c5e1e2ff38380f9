"""`import meshlib` over the bare interpreter: fresh processes, interleaved. Bar: at most 15 ms.

python benchmarks/imports.py
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.report import Row, median_spread, table

ROUNDS = 15


def started(code: str) -> float:
    """Milliseconds that an interpreter takes to run `code`."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - begin) * 1000


def measure(rounds: int = ROUNDS) -> list[Row]:
    """The import, and for scale the first client."""
    cases = {
        "import meshlib": "import meshlib",
        "from meshlib import Client": "from meshlib import Client",
        "import httpx (for scale)": "import httpx",
    }
    bare: list[float] = []
    over: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        base = started("pass")
        bare.append(base)
        for name, code in cases.items():
            over[name].append(started(code) - base)
    rows = [Row("bare interpreter", *median_spread(bare), "ms")]
    for name, values in over.items():
        bar = 15.0 if name == "import meshlib" else None
        rows.append(Row(name, *median_spread(values), "ms", bar))
    return rows


if __name__ == "__main__":
    print(table("Import time over the interpreter", measure()))
