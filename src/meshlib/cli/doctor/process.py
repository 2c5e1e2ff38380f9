"""This process: its clock, and what forks it or runs its loop."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from meshlib.cli.doctor.finding import Finding, ok, warn

__all__ = ["check_clock", "check_descriptors", "check_fork"]

_STEPS = 0.05  # seconds the two clocks are watched
_APART = 0.01  # seconds they may differ in that time
_BORN = datetime(2025, 1, 1, tzinfo=UTC).timestamp()  # this version did not exist before


def check_clock(config: str | None) -> Iterator[Finding]:
    """The wall clock against the monotonic one, its year, and how finely time can be told."""
    wall, monotonic = time.time(), time.monotonic()
    time.sleep(_STEPS)
    drift = (time.time() - wall) - (time.monotonic() - monotonic)
    resolution = time.get_clock_info("monotonic").resolution
    if wall < _BORN:
        date = datetime.fromtimestamp(wall, UTC).date()
        yield warn(
            "clock", f"it says {date}", "set it: TLS certificates and Retry-After dates are read by it"
        )
    elif abs(drift) > _APART:
        text = f"wall and monotonic clock parted by {drift * 1000:.0f} ms in {_STEPS * 1000:.0f} ms"
        yield warn("clock", text, "somebody is setting it: leases and TTLs count as due after jumps of 10 s")
    elif resolution > 0.001:
        text = f"it advances in steps of {resolution * 1000:.1f} ms"
        yield warn("clock", text, "deadlines below some 50 ms are coarse")
    else:
        yield ok("clock", "wall and monotonic clock agree")


def check_fork(config: str | None) -> Iterator[Finding]:
    """Who forks, and with what. meshlib survives forks (new locks, chance, thread, connections in the child)."""
    server = _server()
    if server == "gunicorn --preload":
        yield warn(
            "fork",
            "gunicorn preloads the application and forks it",
            "safe with meshlib; make no call before the fork all the same, or every worker reconnects at its first one",
        )
    elif server:
        yield ok("fork", f"{server}: every worker has its own breakers, budgets and connections")
    if sys.platform == "darwin":
        yield warn(
            "fork", "macOS frameworks may crash a forked child", "use the spawn method of multiprocessing"
        )
    import multiprocessing

    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    yield ok("fork", f"multiprocessing starts processes by {method}; meshlib starts over in a forked child")
    if "gevent" in sys.modules or "eventlet" in sys.modules:
        yield warn(
            "loop", "gevent or eventlet is loaded", "use Client in real threads: patched locks are not tested"
        )
    if os.environ.get("PYTHONASYNCIODEBUG"):
        yield warn(
            "loop",
            "PYTHONASYNCIODEBUG is set",
            "every async call takes several times as long; unset it in production",
        )


def check_descriptors(config: str | None) -> Iterator[Finding]:
    """Enough file descriptors for pools?"""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 1024:
        text = f"this process may open {soft} files and sockets"
        yield warn(
            "descriptors", text, "raise it (ulimit -n 4096): a pool may hold 1,024 connections an endpoint"
        )
    else:
        yield ok(
            "descriptors", f"{'unlimited' if soft == resource.RLIM_INFINITY else soft} files and sockets"
        )


def _server() -> str:
    """The application server that the environment speaks of."""
    environ = os.environ
    gunicorn = environ.get("GUNICORN_CMD_ARGS")
    if gunicorn is not None and "--preload" in gunicorn:
        return "gunicorn --preload"
    if gunicorn is not None or "gunicorn" in environ.get("SERVER_SOFTWARE", ""):
        return "gunicorn"
    if environ.get("WEB_CONCURRENCY", "1") not in ("", "1") or environ.get("UVICORN_WORKERS", "1") not in (
        "",
        "1",
    ):
        return f"{environ.get('WEB_CONCURRENCY') or environ.get('UVICORN_WORKERS')} workers (WEB_CONCURRENCY)"
    if "UWSGI_ORIGINAL_PROC_NAME" in environ or "uwsgi" in sys.modules:
        return "uwsgi"
    return ""
