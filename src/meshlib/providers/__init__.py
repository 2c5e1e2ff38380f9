"""request > [route] > cluster > resilience > balancing > transport > feedback

Where policy comes from while the process runs: one provider per URI scheme, and the runner that keeps it going.
A newcomer adds one file and one line below (third parties: the entry-point group `meshlib.providers`).
"""

from __future__ import annotations

from meshlib.core.registry import Registry
from meshlib.providers.contract import PolicyProvider, Publish
from meshlib.providers.runner import run

__all__ = ["PROVIDERS", "PolicyProvider", "Publish", "run"]

PROVIDERS: Registry[PolicyProvider] = Registry("policy source", "meshlib.providers")
PROVIDERS.register("file", "meshlib.providers.file:FILE")
