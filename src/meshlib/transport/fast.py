"""The fast way through a client: for calls that use nothing of what makes the family's way long.

No authentication, hooks, mounts, streaming; nobody's own methods in a subclass or in place of the family's (`transport.patched`).
Such a call costs a twentieth of the family's way; every other one takes that way, by `super()`. Where a request needs the family
(forms, files, cookies, odd URLs) it is built by it, and may still be sent fast.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from meshlib.transport.fast_answer import Answered, AsyncAnswered
from meshlib.transport.fast_profile import METHODS, SETTINGS, ClientKind, Profile
from meshlib.transport.options import EXTENSION, POLICYS, CallOptions, WholeTimeout, whole_timeout

if TYPE_CHECKING:
    from meshlib.transport.binding import Binding

__all__ = ["AsyncFast", "FastClient", "SyncFast"]

Request = TypeVar("Request")
Response = TypeVar("Response")

_NOT_GIVEN: Any = object()
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WATCHED = SETTINGS | METHODS
_INFO = logging.INFO
_ARGUMENTS = frozenset(
    {"content", "data", "files", "json", "params", "headers", "cookies", "timeout", "extensions"}
)
_SENDS = frozenset({"auth", "follow_redirects"})


class FastClient(Generic[Request, Response]):
    """What both colours share; in front of a `transport.client_mixin`. Thread-safe."""

    kind: ClassVar[ClientKind]
    binding: ClassVar[Binding]
    _fast: Profile | None = None
    _mesh: Any
    _whole: WholeTimeout

    if not TYPE_CHECKING:  # a checker would take it for leave to set any name

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name in _WATCHED:
                super().__setattr__("_fast", None)

        def __delattr__(self, name: str) -> None:
            super().__delattr__(name)
            if name in _WATCHED:
                super().__setattr__("_fast", None)

    def build_request(self, method: str, url: Any, **arguments: Any) -> Request:
        """As the family's; `timeout=` as a number (or None) bounds the whole call."""
        if arguments.keys() <= _ARGUMENTS:
            lean = self._built(method, url, **arguments)
            if lean is not None:
                made: Request = lean
                return made
        built: Request = super().build_request(method, url, **arguments)  # type: ignore[misc]
        return built

    def _built(
        self,
        method: str,
        url: Any,
        content: Any = None,
        data: Any = None,
        files: Any = None,
        json: Any = None,
        params: Any = None,
        headers: Any = None,
        cookies: Any = None,
        timeout: Any = _NOT_GIVEN,
        extensions: Any = None,
    ) -> Any | None:
        if data is not None or files is not None or cookies is not None or extensions is not None:
            return None
        profile = self._profile()
        if profile is None:
            return None
        request = profile.request(method, url, content, json, params, headers)
        if request is not None:
            request.extensions = self._timeouts(profile, timeout)
        return request

    def _profile(self) -> Profile | None:
        """What the client's settings come to now; None when its calls go the family's way."""
        profile = self._fast
        if profile is None or not profile.holds():
            before = self._watched()
            profile = Profile(self, self.kind)
            self._fast = profile
            # Another thread may have set something since it was read, and have dropped the profile before this one: looked at
            # after the store, nothing that changed before it goes unseen.
            if any(a is not b for a, b in zip(before, self._watched(), strict=True)):
                self._fast = None
        return profile if profile.free() else None

    def _watched(self) -> list[Any]:
        own = self.__dict__
        return [own.get(name) for name in _WATCHED]

    def _timeouts(self, profile: Profile, timeout: Any) -> dict[str, Any]:
        """The extensions of a request that was built with `timeout=`."""
        if timeout is _NOT_GIVEN or timeout is self.kind.not_given:
            own = profile.timeout
            four = {"connect": own.connect, "read": own.read, "write": own.write, "pool": own.pool}
            return {"timeout": four}
        whole = whole_timeout(self.binding, timeout)
        kind: Any = self.binding.Timeout
        own = kind(timeout if isinstance(timeout, kind | tuple) else None)
        return {"timeout": own.as_dict(), EXTENSION: whole}

    def _begun(
        self,
        method: Any,
        url: Any,
        content: Any,
        json: Any,
        params: Any,
        headers: Any,
        auth: Any,
        timeout: Any,
    ) -> Any | None:
        """The request of a call that goes the fast way, its deadline begun; None for one that does not."""
        kind = self.kind
        if auth is not kind.not_given and auth is not _NOT_GIVEN and auth is not None:
            return None
        profile = self._fast
        if profile is None or not profile.free():
            profile = self._profile()
            if profile is None:
                return None
        request = profile.request(method, url, content, json, params, headers)
        if request is None:
            return None
        extensions = request.extensions = self._timeouts(profile, timeout)
        whole = extensions.get(EXTENSION) or self._whole
        deadline = 0.0 if whole is POLICYS else whole.deadline(self._mesh.clock())
        extensions[EXTENSION] = CallOptions(False, deadline, whole)
        return request

    def _taken(self, request: Any, arguments: dict[str, Any]) -> bool:
        """Whether a request that is handed to `send` goes the fast way; then its deadline has begun."""
        auth = arguments.get("auth")
        if not (auth is None or auth is self.kind.not_given) or not arguments.keys() <= _SENDS:
            return False
        kind = type(request)
        if kind is self.kind.request:
            plain = request._origin is not None
        elif kind is self.kind.module.Request and isinstance(request.stream, self.binding.ByteStream):
            plain = False
        else:
            return False
        if self._profile() is None or not (plain or not request.url.userinfo):
            return False
        if "timeout" not in request.extensions:
            self._set_timeout(request)  # type: ignore[attr-defined]
        self._opened(request, False, {"auth": None})  # type: ignore[attr-defined]
        return True

    def _finished(self, request: Any, response: Any, started: float) -> bool:
        """Whether there was nothing to do with an answer but to end it."""
        kind = self.kind
        if (
            type(response) is not kind.response
            or response._ending is not None
            or response.status_code in _REDIRECTS
        ):
            return False
        response._request = request
        response._content = response._whole
        response._seconds = perf_counter() - started
        response._ending = kind.ending(self)
        if response._sets_cookies:
            self.cookies.extract_cookies(response)  # type: ignore[attr-defined]
        if kind.logger.isEnabledFor(_INFO):
            kind.log(request, response)
        return True

    def _follows(self, follow_redirects: Any) -> bool:
        if follow_redirects is _NOT_GIVEN or follow_redirects is self.kind.not_given:
            follow_redirects = self.follow_redirects  # type: ignore[attr-defined]
        found: bool = follow_redirects
        return found


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not _NOT_GIVEN}


class SyncFast(FastClient[Request, Response]):
    """For a family's Client."""

    def request(
        self,
        method: str,
        url: Any,
        *,
        content: Any = None,
        data: Any = None,
        files: Any = None,
        json: Any = None,
        params: Any = None,
        headers: Any = None,
        cookies: Any = None,
        auth: Any = _NOT_GIVEN,
        follow_redirects: Any = _NOT_GIVEN,
        timeout: Any = _NOT_GIVEN,
        extensions: Any = None,
    ) -> Response:
        """As the family's."""
        if data is None and files is None and cookies is None and extensions is None:
            request = self._begun(method, url, content, json, params, headers, auth, timeout)
            if request is not None:
                return self._sent(request, follow_redirects)
        response: Response = super().request(  # type: ignore[misc]
            method,
            url,
            **_given(
                content=content,
                data=data,
                files=files,
                json=json,
                params=params,
                headers=headers,
                cookies=cookies,
                auth=auth,
                follow_redirects=follow_redirects,
                timeout=timeout,
                extensions=extensions,
            ),
        )
        return response

    def send(self, request: Request, *, stream: bool = False, **arguments: Any) -> Response:
        """As the family's."""
        if not stream and self._taken(request, arguments):
            return self._sent(request, arguments.get("follow_redirects", _NOT_GIVEN))
        response: Response = super().send(request, stream=stream, **arguments)  # type: ignore[misc]
        return response

    def _sent(self, request: Any, follow_redirects: Any) -> Response:
        started = perf_counter()
        try:
            response = self._transport.handle_request(request)  # type: ignore[attr-defined]
        except self.kind.request_error as error:
            self.binding.attach(error, request)
            raise
        if not self._finished(request, response, started):
            answered = Answered(self, self.kind, response, started)
            response = answered.result(request, self._follows(follow_redirects))
        found: Response = response
        return found


class AsyncFast(FastClient[Request, Response]):
    """For a family's AsyncClient."""

    async def request(
        self,
        method: str,
        url: Any,
        *,
        content: Any = None,
        data: Any = None,
        files: Any = None,
        json: Any = None,
        params: Any = None,
        headers: Any = None,
        cookies: Any = None,
        auth: Any = _NOT_GIVEN,
        follow_redirects: Any = _NOT_GIVEN,
        timeout: Any = _NOT_GIVEN,
        extensions: Any = None,
    ) -> Response:
        """As the family's."""
        if data is None and files is None and cookies is None and extensions is None:
            request = self._begun(method, url, content, json, params, headers, auth, timeout)
            if request is not None:
                return await self._sent(request, follow_redirects)
        response: Response = await super().request(  # type: ignore[misc]
            method,
            url,
            **_given(
                content=content,
                data=data,
                files=files,
                json=json,
                params=params,
                headers=headers,
                cookies=cookies,
                auth=auth,
                follow_redirects=follow_redirects,
                timeout=timeout,
                extensions=extensions,
            ),
        )
        return response

    async def send(self, request: Request, *, stream: bool = False, **arguments: Any) -> Response:
        """As the family's."""
        if not stream and self._taken(request, arguments):
            return await self._sent(request, arguments.get("follow_redirects", _NOT_GIVEN))
        response: Response = await super().send(request, stream=stream, **arguments)  # type: ignore[misc]
        return response

    async def _sent(self, request: Any, follow_redirects: Any) -> Response:
        started = perf_counter()
        try:
            response = await self._transport.handle_async_request(request)  # type: ignore[attr-defined]
        except self.kind.request_error as error:
            self.binding.attach(error, request)
            raise
        if not self._finished(request, response, started):
            answered = AsyncAnswered(self, self.kind, response, started)
            response = await answered.result(request, self._follows(follow_redirects))
        found: Response = response
        return found
