"""Services: several fault servers that play the instances of one service."""

from __future__ import annotations

from collections.abc import Iterator

from meshlib.testing.faults import FaultServer

__all__ = ["Services"]


class Services:
    """`count` running FaultServers under one discovery URI; a context manager that stops them all."""

    def __init__(self, count: int = 3) -> None:
        self.servers: tuple[FaultServer, ...] = ()
        try:
            for _ in range(count):
                self.servers = (*self.servers, FaultServer().start())
        except BaseException:
            self.stop()
            raise

    @property
    def uri(self) -> str:
        """`static://127.0.0.1:41231,127.0.0.1:41232,...`, for `discovery=`."""
        return "static://" + ",".join(server.address for server in self.servers)

    @property
    def counts(self) -> dict[str, int]:
        """Requests received so far, by address."""
        return {server.address: len(server.requests) for server in self.servers}

    def stop(self) -> None:
        """Stop all. Harmless when repeated."""
        for server in self.servers:
            server.stop()

    def __getitem__(self, index: int) -> FaultServer:
        return self.servers[index]

    def __iter__(self) -> Iterator[FaultServer]:
        return iter(self.servers)

    def __len__(self) -> int:
        return len(self.servers)

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
