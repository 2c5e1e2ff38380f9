"""[request] > route > cluster > resilience > balancing > transport > feedback

What a test needs to play the world that meshlib calls: time, name servers, nodes, servers that misbehave.

    FakeClock           time that moves when the test says so
    VirtualLoop         an asyncio loop on that time: sleeps and timeouts take no real time
    ScriptedIO          the control path's world (`core.io.IO`) with answers written by the test
    ScriptedTransport   a `send` for the drivers, per node, sync and async, with latencies on the fake clock
    Reply               the neutral, RPC-like answer that it gives
    FaultServer, Fault  a loopback HTTP/1.1 server that resets, cuts, drips, hangs and refuses on command
    ServiceProcess      a well-behaved service in a process of its own, which can be made slow, failing or dead

With `pytest_plugins = ["meshlib.testing.fixtures"]` the fixtures `fake_clock`, `fault_server` and `mesh_services` are
there too. Nothing here is imported before it is used, and pytest only by `meshlib.testing.fixtures`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshlib.testing.clock import FakeClock
    from meshlib.testing.fault import Fault
    from meshlib.testing.faults import FaultServer
    from meshlib.testing.received import BadRequestError, ReceivedRequest
    from meshlib.testing.reply import Reply
    from meshlib.testing.script import HANG, after
    from meshlib.testing.scripted_io import ScriptedIO
    from meshlib.testing.scripted_transport import ScriptedTransport
    from meshlib.testing.service_process import ServiceProcess
    from meshlib.testing.services import Services
    from meshlib.testing.virtual_loop import StalledError, VirtualLoop
    from meshlib.testing.watching import Watching

__all__ = [
    "HANG",
    "BadRequestError",
    "FakeClock",
    "Fault",
    "FaultServer",
    "ReceivedRequest",
    "Reply",
    "ScriptedIO",
    "ScriptedTransport",
    "ServiceProcess",
    "Services",
    "StalledError",
    "VirtualLoop",
    "Watching",
    "after",
]

_HOME = {
    "HANG": "script",
    "BadRequestError": "received",
    "FakeClock": "clock",
    "Fault": "fault",
    "FaultServer": "faults",
    "ReceivedRequest": "received",
    "Reply": "reply",
    "ScriptedIO": "scripted_io",
    "ScriptedTransport": "scripted_transport",
    "ServiceProcess": "service_process",
    "Services": "services",
    "StalledError": "virtual_loop",
    "VirtualLoop": "virtual_loop",
    "Watching": "watching",
    "after": "script",
}


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
