"""request > route > cluster > resilience > balancing > [transport] > feedback

Who we are and whom we believe: key material from its sources to SSL contexts, checks of the peer, rotation, and the server's
half of the same.
"""

from __future__ import annotations

from meshlib.security.peer import spiffe_id_of
from meshlib.security.secured import Secured, ServiceSecurity
from meshlib.security.verify import Accepted, PeerIdentityError, Presented

__all__ = ["Accepted", "PeerIdentityError", "Presented", "Secured", "ServiceSecurity", "spiffe_id_of"]
