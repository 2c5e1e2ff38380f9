"""Any protocol: `mesh.attempts()` hands a raw socket its endpoint and keeps the score.

python examples/attempts_socket.py
"""

import socket
import socketserver
from threading import Thread

from meshlib import Mesh


class Upper(socketserver.StreamRequestHandler):
    """A line protocol of our own: what comes in goes back in capitals, with the port that said it."""

    def handle(self) -> None:
        for line in self.rfile:
            port = self.connection.getsockname()[1]
            self.wfile.write(b"%d %s" % (port, line.upper()))


def serve() -> socketserver.ThreadingTCPServer:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def ask(mesh: Mesh, text: str) -> str:
    """One call. What raises OSError inside the block is a failed attempt, and is made again on another node."""
    for attempt in mesh.attempts("upper", timeout=2.0):
        with attempt as node:
            print("   trying port", node.port)
            with socket.create_connection((node.host, node.port), timeout=0.5) as connection:
                connection.sendall(text.encode() + b"\n")
                answer = connection.makefile("rb").readline()
                if not answer:
                    raise EOFError("the server hung up")
                return answer.decode().strip()
    raise AssertionError("a call ends with a return or with its last attempt's exception")


def main() -> None:
    servers = [serve(), serve()]
    where = "static://" + ",".join(f"127.0.0.1:{server.server_address[1]}" for server in servers)
    policy = {"services": {"upper": {"discovery": where, "balancer": "round_robin"}}}
    with Mesh(policy=policy) as mesh:
        print(ask(mesh, "hello"))
        gone = servers.pop()
        gone.shutdown()
        gone.server_close()
        print("port", gone.server_address[1], "is closed")
        print(ask(mesh, "still there?"))
        print(ask(mesh, "and now?"))
    servers[0].shutdown()
    servers[0].server_close()


if __name__ == "__main__":
    main()
