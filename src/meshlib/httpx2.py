"""meshlib on httpx2: `meshlib.httpx2.Client` is to `httpx2.Client` what `meshlib.Client` is to `httpx.Client`.

Needs the extra: pip install "meshlib-client[httpx2]". Using only this module never imports httpx, and the other way round;
policies, decorators and errors are the same, and an error of a call is also httpx2's (`except httpx2.HTTPError`).
"""

from __future__ import annotations

from meshlib.transport.client_httpx2 import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
