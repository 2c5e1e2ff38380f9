"""request > [route] > cluster > resilience > balancing > transport > feedback

What is to happen, as data: documents and `Policy(...)` in, one checked and merged ServicePolicy per service
and route out. The engine compiles it; nothing here acts on it.
"""

from __future__ import annotations

from meshlib.policy.lint import refuse_unsupported, unsupported
from meshlib.policy.merge import Origins, merge
from meshlib.policy.parse import load, parse
from meshlib.policy.policy import Policy, call_layer, document_of
from meshlib.policy.snapshot import PolicySnapshot
from meshlib.policy.spec import Document, MeshOptions, RoutePolicy, ServicePolicy, ServiceTable

__all__ = [
    "Document",
    "MeshOptions",
    "Origins",
    "Policy",
    "PolicySnapshot",
    "RoutePolicy",
    "ServicePolicy",
    "ServiceTable",
    "call_layer",
    "document_of",
    "load",
    "merge",
    "parse",
    "refuse_unsupported",
    "unsupported",
]
