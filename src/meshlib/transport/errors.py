"""What the error modules of all families share. The classes themselves stand in `errors_httpx` and `errors_httpx2`.

Every class there is meshlib's *and* the family's, so that `except httpx.HTTPError`, `except httpx.TimeoutException` and
`except meshlib.DeadlineExceededError` all work.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from meshlib import errors

__all__ = ["Exhausted", "WithRequest"]

_made: dict[tuple[type[Any], type[BaseException]], type[Any]] = {}


class WithRequest:
    """Both families keep the request of an error in `_request` and answer `.request` from it."""

    _request: Any = None


class Exhausted(errors.AttemptsExhaustedError):
    """AttemptsExhaustedError of a family: `like` makes it of the last error's class too."""

    any_error: ClassVar[type[BaseException]]
    """The family's TransportError."""
    last_class: ClassVar[type[BaseException] | None] = None

    @classmethod
    def like(cls, last: type[BaseException], message: str, **facts: Any) -> Self:
        """The error, also of the class `last`: `except httpx.ReadTimeout` around a call must go on working when the call
        was tried more than once."""
        if last is cls.any_error or not issubclass(last, cls.any_error):
            return cls(message, **facts)
        found = _made.get((cls, last))
        if found is None:
            names = {"last_class": last, "__doc__": cls.__doc__, "__module__": cls.__module__}
            found = _made[cls, last] = type(cls.__name__, (cls, last), names)
        error: Self = found(message, **facts)
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        kind, last = type(self), self.last_class
        if last is None:
            return super().__reduce__()
        return _rebuild, (kind.__bases__[0], last, self.message, self.facts())


def _rebuild(
    kind: type[Exhausted], last: type[BaseException], message: str, facts: dict[str, Any]
) -> Exhausted:
    return kind.like(last, message, **facts)
