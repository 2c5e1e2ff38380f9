"""The runner: keeps one provider going, and between its errors and the policy in force."""

from __future__ import annotations

from collections.abc import Callable

from meshlib.core.io import IO
from meshlib.core.uri import URI
from meshlib.errors import ConfigError
from meshlib.providers.contract import PolicyProvider, Publish

__all__ = ["run"]

_FIRST, _LONGEST = 1.0, 60.0


async def run(
    provider: PolicyProvider, uri: URI, io: IO, publish: Publish, problem: Callable[[str], None]
) -> None:
    """Watch until cancelled. `problem` gets a sentence when something is wrong, again only when it changes, and "" when a
    document has been taken.

    A wrong document is looked at again after a second: it is mended on this machine. Other errors back off to a minute
    with jitter, so that a fleet does not come back in step.
    """
    said = ""
    failures = 0

    def say(sentence: str) -> None:
        nonlocal said
        if sentence != said:
            said = sentence
            problem(sentence)

    def taken(snapshot: object) -> None:
        nonlocal failures
        publish(snapshot)  # type: ignore[arg-type]
        failures = 0
        say("")

    while True:
        try:
            await provider.watch(uri, io, taken)
            return
        except ConfigError as error:
            say(error.message)
            wait = _FIRST
        except Exception as error:
            failures += 1
            say(f"{uri.text}: {type(error).__name__}: {error}")
            whole = min(_LONGEST, _FIRST * 2.0 ** min(failures - 1, 16))
            wait = whole / 2 + whole / 2 * io.random()
        await io.sleep(wait)
