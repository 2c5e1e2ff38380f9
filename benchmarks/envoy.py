"""In process against a sidecar: what an outbound Envoy with the same policies adds to a request, and what meshlib adds.

    python -m benchmarks.envoy            5 rounds, about half a minute
    python -m benchmarks.envoy --rounds 9 --gate

The cells of `http_e2e` that are about this, by themselves; its options apply.
"""

from __future__ import annotations

import sys

from benchmarks.e2e.cells import matrix
from benchmarks.http_e2e import arguments, run

CELLS = ("sidecar/asyncio/1", "bare mesh/asyncio/1", "meshlib/asyncio/1", "httpx/asyncio/1")


def main() -> int:
    """Only these cells."""
    return run([cell for cell in matrix() if cell.key in CELLS], arguments(), "In process against a sidecar")


if __name__ == "__main__":
    sys.exit(main())
