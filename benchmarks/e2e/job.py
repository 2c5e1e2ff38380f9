"""Job: what a cell's process was told."""

from __future__ import annotations

from typing import Any

from benchmarks.e2e.cells import BODIES

__all__ = ["Job", "short"]


class Job:
    """A cell with the addresses to call and the seconds it has."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.client: str = told["client"]
        self.loop: str = told["loop"]
        self.kind: str = told["kind"]
        self.in_flight: int = told["in_flight"]
        self.body: str = told["body"]
        self.core: int = told["core"]
        self.warm: float = told["warm"]
        self.seconds: float = told["seconds"]
        self.wire: str = told["wire"]
        self.addresses: list[str] = told["addresses"]
        self.sidecar: str = told["sidecar"]
        self.size = BODIES[self.body]
        self.path = f"/{self.body}"

    @property
    def url(self) -> str:
        """What a client without discovery calls: the first endpoint."""
        return f"http://{self.addresses[0]}{self.path}"

    @property
    def urls(self) -> list[str]:
        """The same for every endpoint."""
        return [f"http://{address}{self.path}" for address in self.addresses]


def short(got: int, job: Job) -> RuntimeError:
    """The answer was not what the server sends: a client that does less work must not win."""
    return RuntimeError(f"{job.client} got {got} bytes of {job.size}")
