"""Override: what one endpoint (or subset) changes about the requests sent to it."""

from __future__ import annotations

import msgspec

__all__ = ["Override"]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable set of per-endpoint changes to a request; None or empty leaves the request as it is.

    `base_path` is put before the path, `host` replaces the Host header, `query` and `headers` are added (replacing
    a header of the same name), `credential` is a *reference* (`env:NAME` or `file:/path`) whose value is read when
    the request is written and never stored or shown, `tls_name` is the name asked for and checked in TLS.
    """

    base_path: str = ""
    host: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    credential: str | None = None
    tls_name: str | None = None
