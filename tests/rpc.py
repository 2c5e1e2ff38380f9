"""A remote procedure call family for the tests: unary and streamed, metadata, status codes, errors of its own.

It implements `engine.family.Family` and shares nothing with any HTTP library, which is how the tests know that the
engine does not either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any

from meshlib import errors
from meshlib.balancing import BALANCERS
from meshlib.core.deadline import NEVER
from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.engine import Attempt, CallPlan, Cluster
from meshlib.resilience.retry import RetryOptions, RetryPolicy

RETRIED = ("unsent", "reset", "timeout", "throttled", "UNAVAILABLE")


class Request:
    """A method's name and a message, perhaps with metadata."""

    def __init__(self, method: str = "orders.Get", message: Any = None, **metadata: str) -> None:
        self.method = method
        self.message = message
        self.metadata = metadata


class Reply:
    """A status code, metadata and a message; `closed` once nobody reads it any more."""

    def __init__(self, code: str = "OK", message: Any = None, **metadata: str) -> None:
        self.code = code
        self.message = message
        self.metadata = metadata
        self.closed = False

    def close(self) -> None:
        """Stop reading."""
        self.closed = True


class Stream(Reply):
    """A reply whose messages come one by one, and which holds its attempt's lease until it is closed."""

    def __init__(
        self, attempt: Attempt, messages: list[Any], clock: Callable[[], float], code: str = "OK"
    ) -> None:
        super().__init__(code)
        self.attempt = attempt
        self.messages = messages
        self.clock = clock

    def __iter__(self) -> Iterator[Any]:
        for message in self.messages:
            if isinstance(message, RpcError):
                self.attempt.release(self.clock(), RPC.classify_error(message, self.attempt))
                raise message
            yield message
        self.close()

    def close(self) -> None:
        """Give the lease back."""
        super().close()
        self.attempt.release(self.clock())

    def __del__(self) -> None:
        self.attempt.abandon()


class RpcError(Exception):
    """What this family raises: a status code and the request."""

    code = "UNKNOWN"
    request: Any = None


class UnreachableError(RpcError):
    """No connection: nothing was sent."""

    code = "UNAVAILABLE"


class BrokenError(RpcError):
    """The connection broke after the request had left."""

    code = "INTERNAL"


class BusyError(RpcError):
    """This process has no free connection: no node's fault."""

    code = "CANCELLED"


class NoEndpoint(errors.NoEndpointError, RpcError):
    """UNAVAILABLE, and nothing to send to."""

    code = "UNAVAILABLE"


class CircuitOpen(errors.CircuitOpenError, RpcError):
    """UNAVAILABLE by our own decision."""

    code = "UNAVAILABLE"


class LimitExceeded(errors.LimitExceededError, RpcError):
    """RESOURCE_EXHAUSTED by our own limit."""

    code = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(errors.DeadlineExceededError, RpcError):
    """The whole call's time is over."""

    code = "DEADLINE_EXCEEDED"


class AttemptsExhausted(errors.AttemptsExhaustedError, RpcError):
    """All attempts failed."""

    code = "UNAVAILABLE"


class Family:
    """See `engine.family.Family`."""

    errors = SimpleNamespace(
        NoEndpointError=NoEndpoint,
        CircuitOpenError=CircuitOpen,
        LimitExceededError=LimitExceeded,
        DeadlineExceededError=DeadlineExceeded,
        AttemptsExhaustedError=AttemptsExhausted,
    )
    transport_errors: tuple[type[BaseException], ...] = (RpcError, TimeoutError)

    def classify(self, reply: Reply) -> Outcome:
        """By status code."""
        if reply.code == "OK" or reply.code in ("NOT_FOUND", "INVALID_ARGUMENT"):
            return OK
        if reply.code == "RESOURCE_EXHAUSTED":
            asked = reply.metadata.get("retry-pushback")
            pushback = None if asked is None else float(asked)
            text = "answered RESOURCE_EXHAUSTED"
            return Outcome(Kind.THROTTLED, "throttled", text, pushback=pushback, delivered="yes")
        return Outcome(Kind.FAILURE, reply.code, f"answered {reply.code}", delivered="yes")

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        """By class."""
        if isinstance(error, TimeoutError):
            return Outcome(Kind.FAILURE, "timeout", "timed out")
        if isinstance(error, UnreachableError):
            return Outcome(Kind.FAILURE, "unsent", "refused the connection", retry_safe=True, delivered="no")
        if isinstance(error, BusyError):
            return Outcome(Kind.IGNORED, "busy", "had no free connection", retry_safe=False, delivered="no")
        return Outcome(Kind.FAILURE, "reset", "broke the connection")

    def describe(self, request: Request) -> str:
        """The method."""
        return request.method

    def mapped(self, error: BaseException, request: Request) -> BaseException:
        """Errors of this family as they are, a timeout as its code."""
        mapped = error if isinstance(error, RpcError) else RpcError(str(error))
        mapped.request = request
        return mapped

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> errors.MeshError:
        """All of them together."""
        return AttemptsExhausted(message, **facts)

    def attach(self, error: BaseException, request: Request) -> BaseException:
        """Remember the request."""
        error.request = request  # type: ignore[attr-defined]
        return error

    def discard(self, reply: Any) -> None:
        """Close a reply that a retry replaces."""
        if isinstance(reply, Reply):
            reply.close()

    async def adiscard(self, reply: Any) -> None:
        """Close a reply that a retry replaces."""
        self.discard(reply)


RPC = Family()


class Servers:
    """What the nodes answer: by address a function of (attempt, request), or a list of answers of which the last stays.

    An answer is a Reply, a list (streamed messages), an exception to raise, or `(seconds, answer)` for one that takes a while.
    """

    def __init__(self, clock: Any, answers: Mapping[str, Any] | None = None) -> None:
        self.clock = clock
        self.answers = dict(answers or {})
        self.sent: list[tuple[str, Request, Mapping[str, str]]] = []
        self.replies: list[Reply] = []

    def send(self, attempt: Attempt, request: Request) -> Reply:
        """One attempt, with virtual latency."""
        seconds, answer = self._answer(attempt, request)
        self._pass(attempt, seconds)
        return self._arrive(attempt, answer)

    async def asend(self, attempt: Attempt, request: Request) -> Reply:
        """One attempt on the running (virtual) loop."""
        seconds, answer = self._answer(attempt, request)
        if seconds:
            await self.clock.asleep(seconds)
        return self._arrive(attempt, answer)

    def _answer(self, attempt: Attempt, request: Request) -> tuple[float, Any]:
        address = attempt.node.address
        self.sent.append((address, request, {**request.metadata, **(attempt.headers or {})}))
        answer = self.answers.get(address, Reply())
        if callable(answer) and not isinstance(answer, type):
            answer = answer(attempt, request)
        elif isinstance(answer, list) and answer and not _messages(answer):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer if isinstance(answer, tuple) else (0.0, answer)

    def _pass(self, attempt: Attempt, seconds: float) -> None:
        left = attempt.until - self.clock()
        if seconds > left:
            self.clock.sleep(max(0.0, left))
            raise TimeoutError("no answer in time")
        if seconds:
            self.clock.sleep(seconds)

    def _arrive(self, attempt: Attempt, answer: Any) -> Reply:
        attempt.sent = not isinstance(answer, UnreachableError)
        if isinstance(answer, BaseException):
            raise answer
        attempt.head = self.clock()
        reply = Stream(attempt, answer, self.clock) if isinstance(answer, list) else answer
        self.replies.append(reply)
        return reply


def _messages(answer: list[Any]) -> bool:
    """Whether a list is one streamed answer, and not a script of answers."""
    return all(isinstance(message, str | BrokenError) for message in answer) and isinstance(answer[0], str)


def endpoints(*hosts: str | Endpoint, source: str = "static") -> EndpointSet:
    """A set of hosts, port 1 each."""
    found = [host if isinstance(host, Endpoint) else Endpoint(host=host, port=1) for host in hosts]
    return EndpointSet(found, source=source)


def publish(cluster: Cluster, *hosts: str | Endpoint, now: float = 1000.0) -> None:
    """Apply a set at once."""
    for _ in cluster.apply(endpoints(*hosts), now):
        pass


def plan_of(*hosts: str | Endpoint, balancer: str = "round_robin", seed: int = 1, **parts: Any) -> CallPlan:
    """A plan over these hosts; none means that discovery has not answered yet. `parts` are CallPlan's own."""
    random = Random(seed).random
    kind = BALANCERS.get(balancer)
    given = {name: parts.pop(name) for name in ("detector", "hints", "dropped") if name in parts}
    cluster = Cluster("orders", kind(kind.options()), random, **given)
    if hosts:
        publish(cluster, *hosts)
    parts.setdefault("retry", RetryPolicy(RetryOptions(on=RETRIED)))
    parts.setdefault("max_attempts", 1 if parts["retry"] is None else 3)
    parts.setdefault("timeout", 10.0)
    return CallPlan("orders", cluster, RPC, random, **parts)


def idle(plan: CallPlan) -> bool:
    """Whether nothing is held: no attempt in flight, no slot taken."""
    cluster = plan.cluster
    nodes = [*cluster.nodes.values(), *cluster.departed.values()]
    quiet = all(node.in_flight == 0 and not node.waiting and node.oldest == NEVER for node in nodes)
    return quiet and (plan.limiter is None or (plan.limiter.used == 0 and plan.limiter.queued == 0))
