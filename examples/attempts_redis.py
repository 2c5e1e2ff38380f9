"""`mesh.attempts()` with the redis client, sync and asyncio: two servers, one of them killed.

    python examples/attempts_redis.py

Needs the program redis-server and the package redis; says how to get them when they are missing.
"""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from meshlib import Mesh


def missing() -> str:
    """How to get what is not installed; empty when everything is there."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed. On Debian or Ubuntu: apt-get install redis-server"
    if find_spec("redis") is None:
        return "the redis package is not installed: pip install 'meshlib-client[redis]'"
    return ""


class RedisServer:
    """A redis-server of our own on a free port, without persistence; a context manager."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        command = ["redis-server", "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def __enter__(self) -> "RedisServer":
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return self
            time.sleep(0.02)
        self.kill()
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()


def ping(mesh: Mesh) -> int:
    """One command, on whichever server is well; its port."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    for attempt in mesh.attempts("cache", on=(redis.ConnectionError, redis.TimeoutError)):
        with (
            attempt as node,
            # The client's own retries would stay with the node that failed: the mesh's go to another one.
            redis.Redis(node.host, node.port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)) as client,
        ):
            client.ping()
            return node.port
    raise AssertionError("not reached: the last attempt's exception is raised")


async def ping_async(mesh: Mesh) -> int:
    """The same on asyncio. An attempt that outlives its share of the deadline is cancelled."""
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    async for attempt in mesh.attempts("cache", on=(redis.ConnectionError, redis.TimeoutError)):
        async with (
            attempt as node,
            redis.asyncio.Redis(host=node.host, port=node.port, retry=Retry(NoBackoff(), 0)) as client,
        ):
            await client.ping()
            return node.port
    raise AssertionError("not reached: the last attempt's exception is raised")


def main() -> None:
    if how := missing():
        print("skipped:", how)
        sys.exit(0)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(RedisServer(stack.enter_context(TemporaryDirectory()))) for _ in range(2)
        ]
        where = "static://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        with Mesh(policy={"services": {"cache": {"discovery": where, "timeout": 2.0}}}) as mesh:
            used = ping(mesh)
            print("sync:   answered")
            next(server for server in servers if server.port == used).kill()
            print("the server in use is killed")
            print(
                "sync:  ", sum(ping(mesh) != used for _ in range(50)), "of 50 commands answered by the other"
            )
            print("asyncio:", asyncio.run(ping_async(mesh)) != used and "answered by the other")


if __name__ == "__main__":
    main()
