"""`meshlib call URL`: one request through the mesh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlib.cli.options import add_mesh, add_request, headers_of, mesh_of, seconds, url_of
from meshlib.errors import ConfigError

if TYPE_CHECKING:
    import httpx

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "call",
        help="send one request through the mesh",
        description="Sends one request through the mesh and prints the response's body. Exit status 0 when it succeeded "
        "as the mesh counts it (below 500, not 429), 1 otherwise.",
    )
    add_request(parser)
    parser.add_argument(
        "-d", "--data", metavar="TEXT", help="the body; @FILE reads it from a file, @- from standard input"
    )
    add_mesh(parser)
    parser.add_argument("--timeout", type=seconds, help="seconds for the whole call, retries included")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="the attempts and decisions, on standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0: success; 1: a failing response, or none."""
    import httpx

    url = url_of(options.url)
    headers = headers_of(options.header)
    content = None if options.data is None else _content(options.data)
    method = options.method or ("GET" if content is None else "POST")
    arguments = {} if options.timeout is None else {"timeout": options.timeout}
    with mesh_of(options, url) as mesh, mesh.client(**arguments) as client:
        try:
            response = client.request(method, url, headers=headers, content=content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _say(f"meshlib: {error}")
            if options.verbose:
                _say(mesh.explain(url, method, "/", dict(headers)).brief)
            return 1
        if options.verbose:
            _answered(response)
            # The decisions, as the call has left them.
            _say(f"{mesh.explain(url, method, '/', dict(headers)).brief}\n")
    sys.stdout.buffer.write(response.content)
    if sys.stdout.isatty() and not response.content.endswith(b"\n"):
        sys.stdout.write("\n")
    return 0 if response.status_code < 500 and response.status_code != 429 else 1


def _content(data: str) -> bytes:
    if not data.startswith("@"):
        return data.encode()
    if data == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise ConfigError(f"-d {data}: cannot be read: {error.strerror or error}") from error


def _answered(response: httpx.Response) -> None:
    history = response.extensions.get("meshlib")
    if history is not None:
        for facts in history["attempts"]:
            _say(f"attempt {facts.number}: {facts}")
    _say(f"{response.http_version} {response.status_code} {response.reason_phrase}")
    for name, value in response.headers.multi_items():
        shown = "..." if name in ("set-cookie", "www-authenticate", "authorization") else value
        _say(f"{name}: {shown}")
    _say("")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
