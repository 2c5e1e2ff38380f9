"""Peer: who is at the other end of an inbound request, from whatever the server hands to the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshlib.security.verify import Presented

__all__ = ["spiffe_id_of"]


def spiffe_id_of(source: Any) -> str | None:
    """The SPIFFE ID that the client proved in the TLS handshake; None when there is none, or the server does not say.

    `source` is a WSGI environ (gunicorn's sync and gthread workers hand over the socket), an ASGI scope with the `tls` extension,
    a `grpc.ServicerContext`, or an SSL object. Headers are never looked at: any client can write them. Raises nothing.
    """
    return _presented(source).spiffe_id


def _presented(source: Any) -> Presented:
    if isinstance(source, Mapping):
        return _of_mapping(source)
    connection = getattr(source, "getpeercert", None)
    if connection is not None:
        return _of_connection(source)
    context = getattr(source, "auth_context", None)
    if context is not None:
        found = context() or {}
        names = [one.decode("utf-8", "replace") for one in found.get("x509_subject_alternative_name", ())]
        return Presented(uris=[name for name in names if "://" in name])
    return Presented()


def _of_mapping(source: Mapping[str, Any]) -> Presented:
    """A WSGI environ or an ASGI scope."""
    connection = source.get("gunicorn.socket")
    if connection is not None:
        return _of_connection(connection)
    tls = (source.get("extensions") or {}).get("tls") or {}
    chain = tls.get("client_cert_chain") or ()
    # The ASGI extension carries PEM texts, the client's own certificate first.
    return _of_pem(next(iter(chain), ""))


def _of_connection(connection: Any) -> Presented:
    read = getattr(connection, "getpeercert", None)
    try:
        return Presented.of(read(True)) if read is not None else Presented()
    except (OSError, ValueError):  # closed meanwhile, or no handshake yet
        return Presented()


def _of_pem(text: str) -> Presented:
    import ssl

    try:
        return Presented.of(ssl.PEM_cert_to_DER_cert(text))
    except ValueError:
        return Presented()
