"""What several commands share: their options, and the mesh that these ask for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshlib.core.uri import service_key
from meshlib.errors import ConfigError

if TYPE_CHECKING:
    from meshlib.mesh import Mesh
    from meshlib.runtime.service import Service

__all__ = ["add_mesh", "add_request", "headers_of", "known_endpoints", "mesh_of", "seconds", "url_of"]


def add_mesh(parser: argparse.ArgumentParser) -> None:
    """`--config` and `--discovery`."""
    parser.add_argument("--config", metavar="FILE", help="a meshlib document (default: MESHLIB_CONFIG)")
    parser.add_argument("--discovery", metavar="URI", help="where this service's endpoints come from")


def add_request(parser: argparse.ArgumentParser) -> None:
    """What describes a request."""
    parser.add_argument(
        "url", metavar="URL", help="such as http://orders/v1/orders/42, where orders is the service"
    )
    parser.add_argument("-X", "--method", help="GET, or POST when there is data")
    parser.add_argument(
        "-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated"
    )


def url_of(text: str) -> str:
    """`orders/v1` is short for `http://orders/v1`."""
    return text if "://" in text else f"http://{text}"


def mesh_of(options: argparse.Namespace, target: str = "", **arguments: object) -> Mesh:
    """The mesh of these options and the environment; `--discovery` is the source of `target`'s service.

    ConfigError lists everything that is wrong with the document.
    """
    from meshlib.mesh import Mesh

    mesh = Mesh(options.config, **arguments)  # type: ignore[arg-type]
    if options.discovery is not None:
        mesh.runtime.introduce(service_key(target), options.discovery)
    return mesh


def known_endpoints(service: Service, seconds: float) -> None:
    """Wait until discovery has answered for a service, or says what is wrong, or `seconds` have passed."""
    import time

    until = time.monotonic() + seconds
    while service.snapshot is None and not service.problem and time.monotonic() < until:
        time.sleep(0.01)


def headers_of(written: Sequence[str]) -> list[tuple[str, str]]:
    """`Name: value` pairs."""
    pairs = []
    for one in written:
        name, colon, value = one.partition(":")
        if not colon or not name.strip():
            raise ConfigError(f"-H takes 'Name: value', got {one!r}")
        pairs.append((name.strip(), value.strip()))
    return pairs


def seconds(text: str) -> float:
    """A duration above 0: 2, 0.5, 250ms."""
    from meshlib.core.options import seconds as parsed

    value = parsed(text)
    try:
        value = float(value)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, such as 2 or 250ms, got {text!r}")
    return value
