"""A BIND 9 of its own for the tests: one zone on a free loopback port, its data in a temporary folder.

`named` comes from Debian's `bind9`, `nsupdate` from `bind9-dnsutils`, `rndc` from `bind9-utils`. Runs as root or not;
started and ended by process id.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

HOW = "named is missing: install it with `apt-get install bind9 bind9-utils bind9-dnsutils`"
ZONE = "mesh.test"


def named() -> str | None:
    """Where `named` is; Debian keeps it off an ordinary user's PATH."""
    return shutil.which(
        "named", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )


def require_named() -> str:
    """The path of `named`; else a skip that says how to install it, with CI=true a failure."""
    found = named()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW)
        pytest.skip(HOW)
    return found


def free_port() -> int:
    """A port free for TCP and UDP on 127.0.0.1."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Bind:
    """One name server. `records` set at once replace the zone's; `reload` and `update` change it while it runs."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder = folder
        self.binary = binary
        self.port = free_port()
        self.serial = 1
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "named.conf").write_text(self._configuration())
        self.write([])

    @property
    def option(self) -> str:
        """What belongs behind a `dns://` URI."""
        return f"nameserver=127.0.0.1:{self.port}"

    def write(self, records: list[str], ttl: int = 2, negative: int = 1) -> None:
        """The zone file: SOA (its minimum is the negative TTL, RFC 2308), NS and the records."""
        self.serial += 1
        head = [
            f"$TTL {ttl}",
            f"@ {negative} IN SOA ns hostmaster {self.serial} 3600 600 86400 {negative}",
            "@ IN NS ns",
            "ns IN A 127.0.0.1",
        ]
        zone = self.folder / "zone.db"
        zone.write_text("\n".join([*head, *records]) + "\n")
        # named reloads only a file younger than its last load, and counts in whole seconds on some file systems.
        os.utime(zone, (time.time() + 60, time.time() + 60))

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [self.binary, "-f", "-4", "-n", "1", "-c", str(self.folder / "named.conf")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError("named did not start: " + (self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def reload(self, records: list[str], ttl: int = 2, negative: int = 1) -> None:
        """Change the zone file while it runs (SIGHUP), and wait until it is served."""
        self.write(records, ttl, negative)
        assert self.process is not None
        until = time.monotonic() + 10
        signalled = 0.0
        while self._soa_serial() != self.serial:
            assert time.monotonic() < until, "named did not take the zone"
            if time.monotonic() - signalled > 0.5:  # a signal during a reload is lost
                self.process.send_signal(signal.SIGHUP)
                signalled = time.monotonic()
            time.sleep(0.01)

    def update(self, *lines: str) -> None:
        """A dynamic update of the zone dyn.mesh.test (RFC 2136), by nsupdate."""
        text = "\n".join([f"server 127.0.0.1 {self.port}", "zone dyn.mesh.test", *lines, "send", ""])
        subprocess.run(["nsupdate"], input=text.encode(), check=True, timeout=10, capture_output=True)

    def answers(self) -> bool:
        """True when it has the zone."""
        return self._soa_serial() is not None

    def _soa_serial(self) -> int | None:
        import dns.exception
        import dns.message
        import dns.query

        try:
            reply = dns.query.udp(
                dns.message.make_query(f"{ZONE}.", "SOA"), "127.0.0.1", port=self.port, timeout=0.5
            )
        except (OSError, dns.exception.DNSException):
            return None
        return reply.answer[0][0].serial if reply.answer else None

    def _configuration(self) -> str:
        folder = self.folder
        # 9.18.28 brought a limit of 100 records of one type at a name; older ones do not know the option.
        defaults = subprocess.run([self.binary, "-C"], capture_output=True, timeout=10, check=False).stdout
        unlimited = "max-records-per-type 0;" if b"max-records-per-type" in defaults else ""
        (folder / "dyn.db").write_text(
            "$TTL 1\n@ 1 IN SOA ns.mesh.test. hostmaster 1 3600 600 86400 1\n@ IN NS ns.mesh.test.\n"
        )
        return f"""
options {{
  directory "{folder}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; allow-transfer {{ none; }}; notify no;
  managed-keys-directory "{folder}"; {unlimited}
}};
controls {{ }};
zone "{ZONE}" {{ type primary; file "{folder}/zone.db"; }};
zone "dyn.{ZONE}" {{ type primary; file "{folder}/dyn.db"; allow-update {{ 127.0.0.1; }}; }};
"""
