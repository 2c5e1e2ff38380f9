"""The same for gRPC servers: server credentials that ask for the newest key and authorities before every handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshlib.errors import ConfigError
from meshlib.security.credentials import Credentials
from meshlib.security.server import Clients

__all__ = ["server_credentials"]


def server_credentials(held: Callable[[], Credentials], clients: Clients = "strict") -> Any:
    """`grpc.ServerCredentials` for `server.add_secure_port`, sync and aio, rotated without a restart.

    strict demands a client certificate. permissive never asks for one: gRPC's Python API has nothing between, so the
    peer is then always anonymous. ConfigError when there is no certificate.
    """
    import grpc

    shown: Credentials = held()

    def configuration(credentials: Credentials) -> Any:
        if not credentials.chain or not credentials.anchors:
            raise ConfigError("a gRPC server needs cert, key and ca of tls, or given here")
        pair = (credentials.key(), credentials.chain)
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=credentials.identity.trust)

    def newest() -> Any:
        nonlocal shown
        credentials = held()
        if credentials is shown:
            return None  # go on with what you have
        shown = credentials
        return configuration(credentials)

    return grpc.dynamic_ssl_server_credentials(configuration(shown), newest, clients == "strict")
