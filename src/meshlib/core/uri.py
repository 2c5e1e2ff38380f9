"""URI: where something comes from, in one line: `scheme://authority[,authority...]/path?options`.

The one parser for discovery URIs, policy sources and service names. Credentials are given by reference only
(`?token_file=`, `?token_env=`): a URI ends up in configuration files, process lists, logs and `state()`. No
error here repeats what could be a secret, and nothing but ConfigError is raised, whatever the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address
from re import ASCII, compile
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from meshlib.core.endpoint import address_text
from meshlib.errors import ConfigError

__all__ = ["URI", "Authority", "ServiceName", "parse", "redact_url", "service_key", "service_name"]

Authority = tuple[str, int | None]
"""A host (without brackets) and its port, if one was written."""

_SCHEME = compile(r"[a-z][a-z0-9+.-]*", ASCII)
_NOT_IN_HOSTS = frozenset(" !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~")
_CREDENTIAL = compile(
    r".*(tokens?|passwd|password|passphrase|pwd|secrets?|(secret|api|access|private)[_-]?key|credentials?|bearer)"
    r"|pass|auth(orization)?"
)
_REFERENCES = ("_file", "_env")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# RFC 1035 3.1: 255 octets on the wire are 253 characters of text.
_LONGEST_NAME = 253


class URI(msgspec.Struct, frozen=True):
    """A parsed URI; hashable, so that equal sources are watched once. `str()` and `repr()` are safe to show.

    `authorities` are hosts with optional ports, in order (empty: the logical name is meant); `path` is decoded
    and either empty or begins with a slash; `pairs` are the options in order.
    """

    scheme: str
    authorities: tuple[Authority, ...] = ()
    path: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        """The first host, or an empty text."""
        return self.authorities[0][0] if self.authorities else ""

    @property
    def port(self) -> int | None:
        """The first authority's port."""
        return self.authorities[0][1] if self.authorities else None

    @property
    def options(self) -> Mapping[str, str]:
        """The options by name; of a repeated one the last wins. `values` gives all of them."""
        return dict(self.pairs)

    @property
    def text(self) -> str:
        """The URI without the options that hold credentials or say where they are: for logs, state and errors."""
        return self._text([pair for pair in self.pairs if not _credential(_unreferenced(pair[0]))])

    def redacted(self) -> str:
        """The same as `text`."""
        return self.text

    def render(self) -> str:
        """The whole URI; `parse` gives an equal one back."""
        return self._text(self.pairs)

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of an option that may be repeated, such as `nameserver`."""
        return tuple(value for key, value in self.pairs if key == name)

    def only(self, *known: str) -> URI:
        """This URI, if all its options are among `known`; ConfigError lists the known ones."""
        for key, _ in self.pairs:
            if key not in known:
                can = f"known are {', '.join(sorted(known))}" if known else "it has none"
                raise ConfigError(f"{self.text}: {self.scheme}:// knows no option {key!r}: {can}")
        return self

    def _text(self, pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
        where = ",".join(address_text(host, port or 0) for host, port in self.authorities)
        path = quote(self.path, safe="/:@!$&'()*+,;=-._~")
        options = "&".join(f"{quote(key, safe='')}={quote(value, safe='/:,@')}" for key, value in pairs)
        return f"{self.scheme}://{where}{path}" + (f"?{options}" if options else "")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"URI({self.text!r})"


def parse(text: str) -> URI:
    """The URI that `text` writes. ConfigError says what is wrong and never repeats a secret."""
    scheme, found, rest = text.partition("://")
    if not found:
        raise ConfigError(
            f"{_safe(text)} is not a URI: write scheme://host:port/path, for example dns://orders:8080"
        )
    scheme = scheme.lower()
    if not _SCHEME.fullmatch(scheme):
        raise ConfigError(
            f"{_safe(text)} has no valid scheme before '://': a letter, then letters, digits, + - ."
        )
    rest, _, query = rest.partition("?")
    if "#" in rest or "#" in query:
        raise ConfigError(f"{_safe(text)} has a fragment, which means nothing here: write '#' as %23")
    where, slash, path = rest.partition("/")
    if "@" in where:
        raise ConfigError(
            f"{_safe(text)} holds credentials before '@': refer to them with ?token_file=PATH or ?token_env=NAME"
        )
    authorities = tuple(_authority(one, text) for one in where.split(",")) if where else ()
    return URI(scheme, authorities, _decoded(slash + path, text), tuple(_options(query, text)))


def _options(query: str, text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in query.split("&") if query else ():
        name, found, value = part.partition("=")
        name = _decoded(name, text)
        if not found or not name:
            raise ConfigError(f"{_safe(text)} has an option that is not written name=value")
        if _credential(name.lower()):
            raise ConfigError(
                f"{_safe(text)} holds the value of {name!r}: refer to it with ?{name}_file=PATH or ?{name}_env=NAME"
            )
        pairs.append((name, _decoded(value, text)))
    return pairs


def _authority(part: str, text: str) -> Authority:
    if part.startswith("["):
        host, found, rest = part[1:].partition("]")
        if not found or (rest and not rest.startswith(":")):
            raise ConfigError(f"{_safe(text)}: an IPv6 address is written [::1] or [::1]:8080")
        return _ipv6(host, text), _port(rest[1:], text) if rest else None
    host, found, port = part.partition(":")
    if ":" in port:
        raise ConfigError(f"{_safe(text)}: an IPv6 address needs brackets: [::1]:8080")
    if not host and not found:
        raise ConfigError(f"{_safe(text)} has an empty entry in its list of hosts")
    return _host(host, text), _port(port, text) if found else None


def _ipv6(host: str, text: str) -> str:
    try:
        # A zone is written %25eth0 (RFC 6874) or, as people and resolvers do, %eth0.
        return str(IPv6Address(host.replace("%25", "%", 1)))
    except ValueError:
        raise ConfigError(f"{_safe(text)}: what stands in brackets is not an IPv6 address") from None


def _host(host: str, text: str) -> str:
    """In lower case; a name beyond ASCII as its A-label, as it is written on the wire and in every registry."""
    if not host.isascii():
        host = _a_label(host, text)
    bad = next((char for char in host if char in _NOT_IN_HOSTS or not char.isprintable()), None)
    if bad is not None:
        raise ConfigError(f"{_safe(text)}: a host name cannot hold {bad!r}")
    if ".." in host or host.startswith(".") or len(host) > _LONGEST_NAME:
        raise ConfigError(
            f"{_safe(text)}: a host name has labels between its dots and {_LONGEST_NAME} characters at most"
        )
    return host.lower()


def _a_label(host: str, text: str) -> str:
    from idna import IDNAError, encode

    try:
        return encode(host.lower()).decode("ascii")
    except (IDNAError, UnicodeError):
        raise ConfigError(f"{_safe(text)}: the host is no valid internationalised name (RFC 5891)") from None


def _port(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ConfigError(f"{_safe(text)}: a port is a number from 1 to 65535")
    return int(port)


def _decoded(part: str, text: str) -> str:
    if "%" not in part:
        return part
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ConfigError(f"{_safe(text)}: what is written with % is not UTF-8") from None


def _unreferenced(name: str) -> str:
    name = name.lower()
    for ending in _REFERENCES:
        name = name.removesuffix(ending)
    return name


def _credential(name: str) -> bool:
    return _CREDENTIAL.fullmatch(name) is not None


def _safe(text: str) -> str:
    """The text for an error. A password may itself hold '/', '?' or '#': when '@' is anywhere, only the scheme
    is shown."""
    if "@" in text:
        scheme, found, _ = text.partition("://")
        return f"'{scheme}://...'" if found and _SCHEME.fullmatch(scheme.lower()) else "the URI"
    shown = redact_url(text)
    return repr(shown if len(shown) <= 200 else shown[:200] + "...")


def redact_url(text: str) -> str:
    """A URL without userinfo, query and fragment, as errors, logs and spans show it. Never raises."""
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "", text
    end = len(rest)
    for mark in "/?#":
        at = rest.find(mark)
        end = at if 0 <= at < end else end
    where = rest[:end].rpartition("@")[2]
    path = rest[end:].partition("?")[0].partition("#")[0]
    return f"{scheme}{found}{where}{path}"


class ServiceName(NamedTuple):
    """The service that a URL names: `key` is what policy and registries call it, `port` what the URL wrote."""

    scheme: str
    key: str
    host: str
    port: int | None
    path: str


def service_key(target: str) -> ServiceName:
    """The service that `target` names: a URL, or short for one (`orders` is `http://orders`).

    The key is the host in lower case without a trailing dot, plus `:port` when one is written that is not the
    scheme's own (RFC 3986 6.2.3: `http://orders:80` and `http://orders` are one service, and httpx does not
    tell them apart). Query and fragment name no service and are left out.
    """
    scheme, found, rest = target.partition("://")
    if not found:
        scheme, rest = "http", target
    if not _SCHEME.fullmatch(scheme.lower()):
        raise ConfigError(f"{_safe(target)} has no valid scheme before '://'")
    rest = rest.partition("#")[0].partition("?")[0]
    where, slash, path = rest.partition("/")
    if "@" in where:
        raise ConfigError(f"{_safe(target)} holds credentials before '@': pass auth=(user, password) instead")
    if not where or "," in where or where.startswith(":"):
        raise ConfigError(f"{_safe(target)} names no service: write the service's name, or http://name/path")
    host, port = _authority(where, target)
    return service_name(scheme.lower(), host, port, slash + path)


def service_name(scheme: str, host: str, port: int | None, path: str = "") -> ServiceName:
    """The same from the parts of a URL that is parsed already. `host` is ASCII and without brackets."""
    host = host.lower().removesuffix(".")
    if not host:
        raise ConfigError("a URL without a host names no service")
    if ":" in host:
        host = _ipv6(host, host)
    written = 0 if port is None or port == _DEFAULT_PORTS.get(scheme) else port
    return ServiceName(scheme, address_text(host, written), host, port, path)
