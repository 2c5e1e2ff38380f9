"""[request] > route > cluster > resilience > balancing > transport > feedback

The command line: one file per command, each registered by one line in `commands`. Commands need argparse only; rich
draws where it is installed, and is imported by drawing code alone.
"""

from __future__ import annotations
