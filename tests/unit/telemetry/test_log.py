"""Lines in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from meshlib.core.listener import Event, Listener
from meshlib.telemetry.contract import Watched
from meshlib.telemetry.log import LOGGER, Failures, Log
from meshlib.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> Log:
    caplog.set_level(logging.DEBUG, "meshlib")
    return Log(Watched(clock=clock))


def event(kind: str, service: str = "orders", /, **facts: Any) -> Event:
    return Event(kind, service, 0.0, {key.rstrip("_"): value for key, value in facts.items()})


OPENED = event("breaker", from_="closed", to="open", kind="service", reason="12 of 20 calls failed in 10 s")
CLOSED = event("breaker", from_="half-open", to="closed", kind="service", reason="1 of 1 probes succeeded")

LINES = [
    (OPENED, "WARNING", "orders: the circuit breaker opened: 12 of 20 calls failed in 10 s"),
    (CLOSED, "INFO", "orders: the circuit breaker closed: 1 of 1 probes succeeded"),
    (
        event("breaker", "charge", from_="open", to="half-open", kind="function"),
        "INFO",
        "charge: the function circuit breaker is half-open and probes",
    ),
    (
        event("ejection", node="10.0.0.1:80", reason="5 failures in a row", seconds=1.04, out=1, nodes=3),
        "WARNING",
        "orders: 10.0.0.1:80 ejected for 1.0 s: 5 failures in a row (1 of 3 are out)",
    ),
    (
        event("restored", node="10.0.0.1:80", out=0, nodes=3),
        "INFO",
        "orders: 10.0.0.1:80 is back (0 of 3 are out)",
    ),
    (
        event("panic", on=True, out=2, nodes=3, allowed=1),
        "WARNING",
        "orders: panic: 2 of 3 endpoints would be out, so all are used",
    ),
    (event("panic", on=False, out=1, nodes=3), "INFO", "orders: panic is over: 1 of 3 endpoints are out"),
    (
        event("endpoints", before=0, now=1, source="dns://orders"),
        "INFO",
        "orders: 1 endpoint from dns://orders",
    ),
    (
        event("endpoints", before=2, now=0, source="dns://orders"),
        "WARNING",
        "orders: dns://orders lists no endpoint any more",
    ),
    (
        event("discovery", problem="dns://orders: no answer"),
        "WARNING",
        "orders: discovery: dns://orders: no answer; endpoints known before stay in use",
    ),
    (
        event("policy", "", error="mesh.toml: unknown key 'x'", source="file:///mesh.toml"),
        "WARNING",
        "policy refused, the last good one stays: mesh.toml: unknown key 'x'",
    ),
    (event("policy", "", version="2", source="file:///m"), "INFO", "policy 2 from file:///m is in force"),
    (
        event("identity", "", source="/web.pem", spiffe_id="spiffe://d/web", version=7),
        "INFO",
        "tls: /web.pem is spiffe://d/web, a new version is in force",
    ),
    (
        event("identity", "", source="/web.pem", error="/web-key.pem: cannot be read"),
        "WARNING",
        "tls: /web-key.pem: cannot be read; what is in force stays so",
    ),
    (event("identity", "", source="/web.pem", error=""), "INFO", "tls: /web.pem is in order again"),
]


@pytest.mark.parametrize(("told", "level", "line"), LINES)
def test_lines(log: Log, caplog: pytest.LogCaptureFixture, told: Event, level: str, line: str) -> None:
    """Each change of state reads like a sentence."""
    log.event(told)
    [record] = caplog.records
    assert (record.levelname, record.getMessage(), record.name) == (level, line, "meshlib")


def test_structured_fields(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Structured handlers find kind, service and facts on the record."""
    log.event(OPENED)
    record: Any = caplog.records[0]
    assert (record.meshlib_event, record.meshlib_service) == ("breaker", "orders")
    assert record.meshlib_facts["to"] == "open"


def test_flapping_is_rate_limited(log: Log, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A breaker that flaps says each state once an interval, and later how often it did."""
    for _ in range(50):
        log.event(OPENED)
        log.event(CLOSED)
    assert len(caplog.records) == 2
    clock.advance(31.0)
    log.event(OPENED)
    assert caplog.records[-1].getMessage().endswith("(49 more like it since)")


def test_only_the_first_set_is_news(log: Log, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Later sets are not state changes."""
    for count in (1, 2, 3):
        log.event(event("endpoints", now=count, source="dns://orders"))
        clock.advance(60.0)
    assert len(caplog.records) == 1


def test_recovery_is_said_after_trouble_only(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """A source that was well all the time is not reported to have recovered."""
    log.event(event("discovery", problem=""))
    assert not caplog.records
    log.event(event("discovery", problem="no answer"))
    log.event(event("discovery", problem=""))
    log.event(event("discovery", problem=""))
    assert [record.getMessage() for record in caplog.records][1:] == ["orders: discovery works again"]


def test_no_secrets_and_one_line(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """URLs lose userinfo and query, and what a server said cannot forge a line."""
    problem = "https://me:hunter2@registry/v1?token=hunter2 said:\nCRITICAL all is lost\x1b[31m"
    log.event(event("discovery", problem=problem))
    text = caplog.records[0].getMessage()
    assert "hunter2" not in text
    assert "https://registry/v1 said: CRITICAL" in text
    assert text.isprintable()
    assert "hunter2" not in str(caplog.records[0].__dict__)


def test_unknown_kinds_are_quiet(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Refusals and hints are for metrics."""
    log.event(event("refusal", reason="breaker"))
    log.event(event("hint"))
    assert not caplog.records


def test_exhausted_budget(log: Log, mini: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A retry that the budget refuses is said once."""
    mini.answers(503)
    for _ in range(3):
        mini.call(log, budget=0.0)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["orders: the retry budget is exhausted: failed attempts are not repeated"]


def test_switched_off_levels_use_no_turn(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """What the application does not want to see is not counted as said."""
    caplog.set_level(logging.ERROR, "meshlib")
    log.event(OPENED)
    caplog.set_level(logging.DEBUG, "meshlib")
    log.event(OPENED)
    assert len(caplog.records) == 1


def test_library_configures_nothing() -> None:
    """The logger has a NullHandler, no level, and propagates."""
    assert any(isinstance(handler, logging.NullHandler) for handler in LOGGER.handlers)
    assert LOGGER.propagate


def test_failures_are_logged_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The first error of a class of listeners has a traceback, the others are counted."""

    class Broken(Listener):
        pass

    failures = Failures()
    for _ in range(3):
        failures(Broken(), ValueError("bad"))
    record: Any
    [record] = caplog.records
    assert record.exc_info is not None
    assert "Broken raised ValueError" in record.getMessage()
    assert record.meshlib_event == "listener"
    assert failures.counts == {Broken: 3}
