"""[request] > route > cluster > resilience > balancing > transport > feedback

`meshlib doctor`: what is likely to go wrong here, and what to do about it. One file per group of checks; each check is a
function that yields Findings and is listed in `command.CHECKS`.
"""

from __future__ import annotations
