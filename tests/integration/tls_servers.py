"""Real servers over `mesh.server_ssl_context()`, each in a process of its own: `python tls_servers.py KIND PORT MESHLIB_TOML`.

Every application answers `PID PEER`, the peer being the SPIFFE ID that the server handed to it, or `unsaid`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from meshlib import Mesh
from meshlib.security import spiffe_id_of

KIND, PORT, CONFIG = sys.argv[1:4] if __name__ == "__main__" else ("", "0", os.environ.get("TLS_CONFIG", ""))
mesh = Mesh(CONFIG, telemetry=False)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI."""
    if scope["type"] != "http":
        return
    peer = scope.get("state", {}).get("peer") or spiffe_id_of(scope) or "unsaid"
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"{os.getpid()} {peer}".encode()})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI."""
    body = f"{os.getpid()} {spiffe_id_of(environ) or 'unsaid'}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def uvicorn_(http: Any = "auto") -> None:
    """uvicorn takes a factory of contexts."""
    import uvicorn

    uvicorn.run(
        application,
        port=int(PORT),
        http=http,
        lifespan="off",
        ssl_context_factory=lambda config, default: mesh.server_ssl_context(),
    )


def uvicorn_peer() -> None:
    """uvicorn with a protocol that puts the peer into the scope's state."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class PeerProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            peer = spiffe_id_of(transport.get_extra_info("ssl_object"))
            self.app_state = {**self.app_state, "peer": peer}

    uvicorn_(PeerProtocol)


def hypercorn_() -> None:
    """hypercorn asks its configuration."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    class MeshConfig(Config):
        ssl_enabled = True

        def create_ssl_context(self) -> Any:
            return mesh.server_ssl_context(alpn=("h2", "http/1.1"))

    config = MeshConfig()
    config.bind = [f"127.0.0.1:{PORT}"]
    asyncio.run(serve(application, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    {"uvicorn": uvicorn_, "uvicorn-peer": uvicorn_peer, "hypercorn": hypercorn_}[KIND]()
