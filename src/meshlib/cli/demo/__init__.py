"""[request] > route > cluster > resilience > balancing > transport > feedback

`meshlib demo`: three real servers, a registry, load, and everything that goes wrong, with plain httpx beside it.

    scene    the server processes and the registry file      script   what happens to them, and when
    load     the same requests through both sides            tally    what became of them
    board    what a view may show                            view_*   rich, or plain text
    report   the table at the end                            command  options, signals, putting it all together
"""

from __future__ import annotations
