"""What the tests of discovery share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import parse
from meshlib.discovery import RESOLVERS, Target, run
from tests.unit.discovery.scripted import Over, Script


@pytest.fixture
def script() -> Script:
    """A scripted world that is over after three sleeps."""
    return Script()


class Said:
    """Everything a watch said."""

    def __init__(self) -> None:
        self.sets: list[EndpointSet] = []
        self.problems: list[str] = []
        self.error: BaseException | None = None

    @property
    def addresses(self) -> list[list[str]]:
        """The addresses of each set."""
        return [[endpoint.address for endpoint in one.endpoints] for one in self.sets]


Watched = Callable[..., Said]


@pytest.fixture
def watched(script: Script) -> Watched:
    """Runs the bare resolver of a URI until the script is over or an error is let out."""

    def play(uri: str, service: str = "orders", port: int = 0) -> Said:
        said = Said()
        target = Target(uri=parse(uri), service=service, port=port)
        try:
            asyncio.run(RESOLVERS.get(target.uri.scheme).watch(target, script, said.sets.append))
        except Over:
            pass
        except Exception as error:
            said.error = error
        return said

    return play


@pytest.fixture
def kept(script: Script) -> Watched:
    """Runs a URI's resolver, or any other, under the runner until the script is over."""

    def play(uri: str, resolver: object = None, service: str = "orders") -> Said:
        said = Said()
        target = Target(uri=parse(uri), service=service)
        one = resolver or RESOLVERS.get(target.uri.scheme)
        try:
            asyncio.run(run(one, target, script, said.sets.append, said.problems.append))  # type: ignore[arg-type]
        except Over:
            pass
        return said

    return play
