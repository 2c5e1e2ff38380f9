"""Fixtures for pytest: `pytest_plugins = ["meshlib.testing.fixtures"]` in the root conftest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from meshlib.testing.clock import FakeClock
from meshlib.testing.faults import FaultServer
from meshlib.testing.services import Services

__all__ = ["fake_clock", "fault_server", "mesh_services"]


@pytest.fixture
def fake_clock() -> FakeClock:
    """A FakeClock at 1000 s."""
    return FakeClock()


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A running FaultServer, stopped after the test."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def mesh_services() -> Iterator[Callable[..., Services]]:
    """`mesh_services(3)` starts three servers of one service; all are stopped after the test."""
    with ExitStack() as stack:
        yield lambda count=3: stack.enter_context(Services(count))
