"""A process as Linux accounts for it: resident memory in MiB, seconds on a core and seconds of waiting for one."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

__all__ = ["busy", "held", "peak", "reset_peak", "resident", "waited"]


def resident(pid: int | str = "self") -> float:
    """Now."""
    return _field("VmRSS", pid)


def held() -> float:
    """Now, without what the allocator keeps free for later: that grows with fragmentation for hours and is no leak."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; elsewhere it stays what it is
    if trim is not None:
        trim(0)
    return resident()


def peak() -> float:
    """The most that this process had, since its start or the last `reset_peak`."""
    # Not getrusage: its maximum is inherited over exec from the process that forked.
    return _field("VmHWM", "self")


def reset_peak() -> None:
    """Start over."""
    Path("/proc/self/clear_refs").write_text("5")


def busy(pid: int) -> float:
    """Seconds that a process's threads have run."""
    # In nanoseconds; /proc/<pid>/stat counts in ticks of 10 ms.
    spent = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            spent += int(task.read_text().split()[0])
        except OSError:
            continue  # a thread that has ended meanwhile
    return spent / 1e9


def waited() -> float:
    """Seconds that this process's main thread was ready and did not run: what others on the core took."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def _field(name: str, pid: int | str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} of process {pid}")
