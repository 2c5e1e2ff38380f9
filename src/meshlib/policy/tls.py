"""`tls`: whether calls to a service are encrypted, who we are to it and whom we accept as it."""

from __future__ import annotations

from collections.abc import Mapping
from re import ASCII, compile
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from meshlib.core.expected import shown
from meshlib.core.options import Options, Problem

__all__ = ["SPIFFE_ID", "TlsOptions"]

SPIFFE_ID = compile(r"spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]+)*", ASCII)
"""The SPIFFE ID specification, sections 2.1 and 2.2: no port, no query, no upper case in the trust domain."""

_FILES = ("ca", "cert", "key")


class TlsOptions(Options, frozen=True, kw_only=True):
    """`tls`: a table, or the mode alone (`tls = "strict"`). Keys and certificates are files, never text.

    With `spiffe_ids` or `sans` the peer is accepted by what its certificate says it is, else by name.
    """

    group: ClassVar[str] = "tls"

    mode: Annotated[
        Literal["off", "auto", "strict"],
        Meta(
            description="strict encrypts every connection whatever the URL says; auto those of https URLs and of "
            "endpoints that say they speak TLS; off leaves it to the URL and the client's verify and cert."
        ),
    ] = "auto"
    ca: Annotated[
        str | None,
        Meta(description="A file with the trusted authorities (PEM); without it those that httpx trusts."),
    ] = None
    cert: Annotated[
        str | None, Meta(description="A file with our certificate and its chain (PEM); the key may be in it.")
    ] = None
    key: Annotated[
        str | None, Meta(description="A file with our private key (PEM, not encrypted); without it `cert`.")
    ] = None
    name: Annotated[
        str | None, Meta(description="The name asked for and checked, instead of the service's.")
    ] = None
    spiffe_ids: Annotated[
        tuple[str, ...],
        Meta(
            description="The SPIFFE IDs accepted of the service (one ending in /* accepts all below it); with them "
            "the name is not checked."
        ),
    ] = ()
    sans: Annotated[
        tuple[str, ...],
        Meta(
            description="The other subject alternative names accepted of it: DNS names, addresses, URIs; as above."
        ),
    ] = ()

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Key material in the place of a file's name, identities that are none."""
        problems: list[Problem] = []
        for key in _FILES:
            text = values.get(key)
            if text == "":
                problems.append(((key,), "expected the path of a PEM file, got an empty text"))
            elif text is not None and "-----BEGIN" in text:
                problems.append(((key,), "expected the path of a PEM file, got the PEM text itself"))
        for identity in values.get("spiffe_ids", ()):
            if not SPIFFE_ID.fullmatch(identity.removesuffix("/*")):
                text = f"expected identities such as spiffe://domain/path, got {shown(identity)}"
                problems.append((("spiffe_ids",), text))
        for name in values.get("sans", ()):
            if not name or name.startswith("spiffe://") or any(char.isspace() for char in name):
                text = f"expected DNS names, addresses and URIs other than spiffe://, got {shown(name)}"
                problems.append((("sans",), text))
        return problems

    def incomplete(self) -> list[Problem]:
        """What is missing once all layers have met: a layer may bring the key and another the certificate."""
        if self.key is not None and self.cert is None:
            return [(("key",), "is a private key without a certificate: set cert too")]
        return []
