"""Spans and propagation, through the engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from meshlib import errors
from meshlib.telemetry import suppress
from meshlib.telemetry.otel import OTel


def test_one_internal_and_one_client_span(mini: Any) -> None:
    """A call of one attempt makes an INTERNAL span without HTTP attributes and a CLIENT one below it."""
    mini.call()
    client, internal = mini.spans
    assert (internal.kind, internal.name) == (SpanKind.INTERNAL, "meshlib.call orders")
    assert not [name for name in internal.attributes if name.startswith(("http.", "url.", "server."))]
    assert internal.attributes["meshlib.outcome"] == "success"
    assert client.kind is SpanKind.CLIENT
    assert client.parent.span_id == internal.context.span_id


def test_attempt_attributes(mini: Any) -> None:
    """A CLIENT span says what the conventions ask, the logical name as server and the node as peer, without secrets."""
    mini.call(route="reports")
    client, internal = mini.spans
    assert client.name == "GET"
    assert dict(client.attributes) == {
        "meshlib.service": "orders",
        "http.request.method": "GET",
        "server.address": "orders",
        "server.port": 80,
        "url.full": "http://orders/v1/42",
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 8080,
        "meshlib.outcome": "success",
        "http.response.status_code": 200,
    }
    assert internal.attributes["meshlib.route"] == "reports"
    assert client.status.status_code is StatusCode.UNSET


def test_resend_count(mini: Any) -> None:
    """The first attempt has no resend count, the first resend has 1."""
    mini.answers(503, ConnectionRefusedError, 200)
    mini.call()
    first, second, third, call = mini.spans
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert third.attributes["http.request.resend_count"] == 2
    assert call.attributes["meshlib.attempts"] == 3
    assert first.end_time <= second.start_time


def test_status_and_error_type(mini: Any) -> None:
    """A 5xx is an error without description, a refused connection one with; error.type is the status or the cause."""
    mini.answers(503, ConnectionRefusedError, 200)
    mini.call()
    answered, refused, _, call = mini.spans
    assert answered.attributes["error.type"] == "503"
    assert (answered.status.status_code, answered.status.description) == (StatusCode.ERROR, None)
    assert refused.attributes["error.type"] == "unsent"
    assert refused.status.description == "refused the connection"
    assert "http.response.status_code" not in refused.attributes
    assert call.status.status_code is StatusCode.UNSET


def test_client_error_is_an_error_of_the_attempt_only(mini: Any) -> None:
    """A 404 is an error by the HTTP conventions and a success to the mesh."""
    mini.answers(404)
    mini.call()
    client, internal = mini.spans
    assert (client.status.status_code, client.attributes["error.type"]) == (StatusCode.ERROR, "404")
    assert (internal.status.status_code, internal.attributes["meshlib.outcome"]) == (
        StatusCode.UNSET,
        "success",
    )


def test_failed_call_says_why_it_stopped(mini: Any) -> None:
    """The call's span is an error, with the outcome and what held the next attempt back."""
    mini.answers(TimeoutError)
    with pytest.raises(errors.AttemptsExhaustedError):
        mini.call(attempts=2)
    call = mini.spans[-1]
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["meshlib.outcome"] == "failure"
    assert call.attributes["error.type"] == "timeout"
    assert call.attributes["meshlib.stop"] == "attempts"


def test_call_without_endpoint(mini: Any) -> None:
    """A call that never had an attempt still has its span, marked as refused."""
    with pytest.raises(errors.NoEndpointError):
        mini.call(fed=False)
    [call] = mini.spans
    assert call.attributes["meshlib.outcome"] == call.attributes["error.type"] == "refused"
    assert call.attributes["meshlib.attempts"] == 0


def test_headers_name_the_attempt(mini: Any) -> None:
    """Each attempt sends the traceparent of its own span."""
    mini.answers(503, 200)
    mini.call()
    spans = mini.spans
    for headers, span in zip(mini.headers, spans[:2], strict=True):
        context = span.context
        assert (
            headers["traceparent"]
            == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        )
        assert context.trace_flags.sampled


def test_baggage_and_parent_travel(mini: Any) -> None:
    """The caller's span is the parent, and its baggage goes along."""
    former = get_current()
    with mini.tracers.get_tracer("app").start_as_current_span("handler") as parent:
        attach(baggage.set_baggage("tenant", "blue"))
        mini.call()
        attach(trace.set_span_in_context(parent, former))
    call = next(span for span in mini.spans if span.name == "meshlib.call orders")
    assert call.parent.span_id == parent.get_span_context().span_id
    assert mini.headers[0]["baggage"] == "tenant=blue"


def test_attempt_context_is_current_while_sent_and_put_back(mini: Any) -> None:
    """Below `send` the attempt's span is current and HTTP instrumentation silent; after the call neither is."""
    seen: list[Any] = []

    def send(attempt: Any, request: Any) -> int:
        seen.append((trace.get_current_span().get_span_context().span_id, suppress._HTTP in get_current()))
        return 200

    before = get_current()
    mini.call(send=send)
    assert seen == [(mini.spans[0].context.span_id, True)]
    assert get_current() == before


def test_alien_error_closes_spans_and_context(mini: Any) -> None:
    """An exception that is no transport error ends both spans and gives the context back."""

    def send(attempt: Any, request: Any) -> int:
        raise KeyError("a bug of the caller's")

    before = get_current()
    with pytest.raises(KeyError):
        mini.call(send=send)
    client, internal = mini.spans
    assert client.attributes["error.type"] == "cancelled"
    assert client.status.status_code is StatusCode.UNSET
    assert internal.attributes["meshlib.outcome"] == "cancelled"
    assert get_current() == before


@pytest.mark.asyncio
async def test_cancelled_call(mini: Any) -> None:
    """Cancellation ends both spans, marks nobody's failure, and leaves the task's context as it was."""
    started = asyncio.Event()

    async def send(attempt: Any, request: Any) -> int:
        started.set()
        await asyncio.Event().wait()
        return 200

    task = asyncio.create_task(mini.acall(send=send))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [span.attributes["meshlib.outcome"] for span in mini.spans] == ["ignored", "cancelled"]


@pytest.mark.asyncio
async def test_concurrent_calls_keep_their_own_context(mini: Any) -> None:
    """Calls of several tasks each have their own spans, parent and child."""
    gate = asyncio.Event()

    async def send(attempt: Any, request: Any) -> int:
        mine = trace.get_current_span()
        await gate.wait()
        assert trace.get_current_span() is mine
        return 200

    tasks = [asyncio.create_task(mini.acall(send=send)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    spans = mini.spans
    assert len({span.context.trace_id for span in spans}) == 5
    assert len(spans) == 10


@pytest.mark.asyncio
async def test_attempt_that_ends_in_another_task(mini: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Finishing an attempt elsewhere than it began ends its span, and no token is misused."""
    plan = mini.plan()
    call = plan.open(None, mini.clock(), 7)
    mini.otel.call_started(call)
    attempt = call.begin(mini.clock())

    async def begin() -> None:
        mini.otel.attempt_started(call, attempt)

    async def end() -> None:
        mini.otel.attempt_finished(call, attempt, plan.classify(200))

    await asyncio.create_task(begin())
    before = get_current()
    await asyncio.create_task(end())
    assert get_current() is before
    assert len(mini.spans) == 1
    assert not caplog.records


def test_context_set_by_others_is_left_alone(mini: Any) -> None:
    """What the code below attached and did not take back is not thrown away."""
    former = get_current()
    marked: list[Any] = []

    def send(attempt: Any, request: Any) -> int:
        marked.append(baggage.set_baggage("left", "behind"))
        attach(marked[0])
        return 200

    mini.call(send=send)
    assert get_current() is marked[0]
    attach(former)


def test_unsampled_call_makes_no_attempt_span(unsampled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One span is started for the call, none for its attempts; the headers are the same for all, made once."""
    started: list[str] = []
    tracer = unsampled.otel._spans._tracer
    start = tracer.start_span
    monkeypatch.setattr(tracer, "start_span", lambda name, *rest: started.append(name) or start(name, *rest))
    unsampled.answers(503, 503, 200)
    unsampled.call()
    assert started == ["meshlib.call orders"]
    assert len(unsampled.headers) == 3
    assert not int(unsampled.headers[0]["traceparent"][-2:], 16) & 1
    assert unsampled.headers[0] == unsampled.headers[1] == unsampled.headers[2]
    assert unsampled.spans == []


def test_unsampled_call_keeps_instrumentation_silent(unsampled: Any) -> None:
    """Else it would sample the attempt anew and write other headers over ours."""
    seen: list[Any] = []
    before = get_current()
    unsampled.call(send=lambda attempt, request: seen.append(suppress._HTTP in get_current()) or 200)
    assert seen == [True]
    assert get_current() == before


def test_no_provider_passes_a_context_on(mini: Any) -> None:
    """Without an SDK nothing is made, but the context of an inbound request goes on; without one there is nothing to send."""
    mini.otel = OTel(mini.watched, meter_provider=mini.meters)
    mini.call()
    remote = NonRecordingSpan(SpanContext(0xA, 0xB, True, TraceFlags(1)))
    former = get_current()
    attach(trace.set_span_in_context(remote, former))
    mini.call()
    attach(former)
    assert mini.headers == [{}, {"traceparent": f"00-{0xA:032x}-{0xB:016x}-01"}]


def test_silence_is_honoured(mini: Any) -> None:
    """A call from within an exporter makes no span and writes no header."""
    former = get_current()
    attach(trace.set_span_in_context(trace.INVALID_SPAN, {**former, "suppress_instrumentation": True}))
    mini.call()
    attach(former)
    assert mini.spans == []
    assert mini.headers == [{}]


def test_unknown_method(mini: Any, http_request: Any) -> None:
    """A method nobody knows is _OTHER, the span is called HTTP, the original is kept."""
    mini.call(request=http_request("BREW"))
    client = mini.spans[0]
    assert client.name == "HTTP"
    assert client.attributes["http.request.method"] == "_OTHER"
    assert client.attributes["http.request.method_original"] == "BREW"


def test_other_protocols(mini: Any) -> None:
    """An attempt that is no HTTP request has a generic CLIENT span, and instrumentation below it stays on."""
    seen: list[bool] = []
    mini.call(
        request=b"PING",
        service="cache:6379",
        send=lambda attempt, request: seen.append(suppress._HTTP in get_current()) or "PONG",
    )
    client = mini.spans[0]
    assert (client.name, client.kind) == ("meshlib.attempt cache:6379", SpanKind.CLIENT)
    assert client.attributes["server.address"] == "cache"
    assert client.attributes["meshlib.attempt.number"] == 1
    assert not [name for name in client.attributes if name.startswith(("http.", "url."))]
    assert seen == [False]


def test_subset_names_the_cluster(mini: Any) -> None:
    """A subset's cluster is `service/subset`."""
    mini.call(subset="v2")
    assert mini.spans[-1].attributes["meshlib.cluster"] == "orders/v2"
