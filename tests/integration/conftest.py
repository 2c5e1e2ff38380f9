"""Which wires and client families the HTTP tests run on."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from tests.integration.http_kit import KINDS, STACKS, Kit, Stack


def _param(*words: str) -> object:
    """Marked `wire`, as is everything that must hold on every wire and in every family."""
    return pytest.param(words, id="-".join(words), marks=pytest.mark.wire)


def _installed(family: str) -> None:
    if find_spec(family) is None and not os.environ.get("CI"):
        pytest.skip(f"needs the extra {family}")


@pytest.fixture(params=[_param(*stack) for stack in STACKS])
def stack(request: pytest.FixtureRequest) -> Stack:
    """One wire and family after the other."""
    _installed(request.param[-1])
    return Stack(*request.param)


@pytest.fixture(params=[_param(kind, *stack) for stack in STACKS for kind in KINDS])
def kit(request: pytest.FixtureRequest) -> Kit:
    """The same, sync and async."""
    _installed(request.param[-1])
    return Kit(*request.param)
