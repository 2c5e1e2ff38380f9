"""The options that `dns://` and `srv://` share."""

from __future__ import annotations

from ipaddress import ip_address
from typing import get_args

from meshlib.core.io import Family, Server
from meshlib.core.uri import URI
from meshlib.errors import ConfigError

__all__ = ["family", "servers"]


def family(uri: URI) -> Family:
    """`?family=auto|4|6|all`; "auto" without it."""
    written = uri.options.get("family", "auto")
    for known in get_args(Family):
        if written == known:
            return known  # type: ignore[no-any-return]  # get_args knows no types
    raise ConfigError(f"{uri.text}: family is {written!r}: known are {', '.join(get_args(Family))}")


def servers(uri: URI) -> tuple[Server, ...]:
    """`?nameserver=127.0.0.1:5353`, repeated or with commas; an IPv6 address with a port needs brackets."""
    return tuple(
        _server(part.strip(), uri)
        for value in uri.values("nameserver")
        for part in value.split(",")
        if part.strip()
    )


def _server(text: str, uri: URI) -> Server:
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ip_address(host)
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(port)
    except ValueError:
        raise ConfigError(
            f"{uri.text}: nameserver {text!r} is no IP address with an optional port, such as 127.0.0.1:5353"
        ) from None
    return Server(host, int(port))
