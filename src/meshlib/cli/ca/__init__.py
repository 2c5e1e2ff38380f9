"""[request] > route > cluster > resilience > balancing > transport > feedback

`meshlib ca`: a throw-away certificate authority, so that mutual TLS can be tried in a minute.
"""

from __future__ import annotations
