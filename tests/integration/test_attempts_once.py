"""mesh.attempts() where a block must not be done twice, and where its time is up."""

import asyncio

import pytest

from meshlib import AttemptsExhaustedError, DeadlineExceededError, Mesh

pytestmark = pytest.mark.integration

POLICY = {"services": {"cache": {"discovery": "static://10.0.0.1:1,10.0.0.2:1"}}}


def tries(error, **arguments):
    """How often the block runs before `error` comes out."""
    made = []

    def work(mesh):
        for attempt in mesh.attempts("cache", **arguments):
            with attempt:
                made.append(attempt)
                raise error

    with Mesh(policy=POLICY, telemetry=False) as mesh, pytest.raises(type(error)):
        work(mesh)
    return len(made)


def test_a_block_that_is_not_idempotent_is_repeated_only_when_nothing_was_done():
    """A reset may have been processed, a refused connect cannot have been."""
    assert tries(ConnectionResetError()) == 3
    assert tries(ConnectionResetError(), idempotent=False) == 1
    assert tries(ConnectionRefusedError(), idempotent=False) == 3


def test_a_deadline_tells_what_was_tried():
    """When the last attempt's time is up the error is the call's, with its history."""

    async def late():
        with Mesh(policy=POLICY, telemetry=False) as mesh:
            async for attempt in mesh.attempts("cache", timeout=0.1):
                async with attempt:
                    await asyncio.sleep(5)

    # At the deadline, or a moment before it when what is left is too short for another attempt.
    with pytest.raises(
        (DeadlineExceededError, AttemptsExhaustedError), match=r"a call to cache .* after \d attempt"
    ) as caught:
        asyncio.run(late())
    assert caught.value.attempts[0].cause == "timeout"
