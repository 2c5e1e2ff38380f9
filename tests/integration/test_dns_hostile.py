"""Name servers that lie: whatever they send, a look-up ends in time with an Answer or a DiscoveryError."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshlib.core.io import Answer, Server
from meshlib.errors import DiscoveryError
from meshlib.world import nameserver
from meshlib.world.dns import Lookup
from meshlib.world.files import Files

pytestmark = pytest.mark.integration

Reply = Callable[[bytes, bool], list[bytes]]
"""From a query and whether it came by TCP: the datagrams (or the TCP bytes) to send back."""


class Liar(asyncio.DatagramProtocol):
    """A name server on loopback, UDP and TCP on one port, answering by a function."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.queries = 0
        self.tcp_queries = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.queries += 1
        for datagram in self.reply(data, False):
            self.transport.sendto(datagram, address)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One query by TCP."""
        try:
            size = struct.unpack("!H", await reader.readexactly(2))[0]
            data = await reader.readexactly(size)
            self.tcp_queries += 1
            for part in self.reply(data, True):
                writer.write(part)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def look_up(
    reply: Reply, name: str = "a.test.", kind: str = "A"
) -> tuple[Answer | DiscoveryError, Liar, float]:
    """One look-up at a liar: what came out, and how long it took. Anything else is raised."""

    async def run() -> tuple[Answer | DiscoveryError, Liar]:
        loop = asyncio.get_running_loop()
        liar = Liar(reply)
        while True:
            server = await asyncio.start_server(liar.stream, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: liar, local_addr=("127.0.0.1", port)
                )
                break
            except OSError:
                server.close()
        lookup = Lookup(Files(), hosts="/nonexistent", resolv_conf="/nonexistent")
        try:
            servers = (Server("127.0.0.1", port),)
            if kind == "SRV":
                return await lookup.services(name, servers=servers), liar
            return await lookup.addresses(name, family="4", servers=servers), liar
        except DiscoveryError as error:
            return error, liar
        finally:
            transport.close()
            server.close()
            await asyncio.sleep(0)

    start = time.monotonic()
    said, liar = asyncio.run(run())
    return said, liar, time.monotonic() - start


def good(query: bytes, *records: str, flags: int = 0) -> dns.message.Message:
    """A right answer to a query with records in text form."""
    reply = dns.message.make_response(dns.message.from_wire(query))
    reply.flags |= flags
    for text in records:
        name, ttl, _, kind, data = text.split(" ", 4)
        reply.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return reply


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short bounds, so that silence is quickly over."""
    monkeypatch.setattr(nameserver, "TRY", 0.15)


def test_honest_answer() -> None:
    """The frame of this file works."""
    said, _, _ = look_up(lambda query, tcp: [good(query, "a.test. 9 IN A 10.0.0.1").to_wire()])
    assert said == Answer(addresses=("10.0.0.1",), ttl=9.0)


def test_lies_before_the_truth_are_passed_over() -> None:
    """Wrong id, wrong question, garbage: the right answer after them counts."""

    def reply(query: bytes, tcp: bool) -> list[bytes]:
        wrong_id = good(query, "a.test. 9 IN A 6.6.6.6")
        wrong_id.id ^= 1
        other = dns.message.make_query("b.test.", "A", id=struct.unpack("!H", query[:2])[0])
        wrong_question = good(other.to_wire(), "b.test. 9 IN A 6.6.6.6")
        right = good(query, "a.test. 9 IN A 10.0.0.1")
        return [wrong_id.to_wire(), wrong_question.to_wire(), b"\x00", b"garbage", right.to_wire()]

    said, _, _ = look_up(reply)
    assert isinstance(said, Answer)
    assert said.addresses == ("10.0.0.1",)


def _loop(query: bytes) -> bytes:
    return good(query, "a.test. 9 IN CNAME b.test.", "b.test. 9 IN CNAME a.test.").to_wire()


def _chain(query: bytes) -> bytes:
    names = ["a.test.", *(f"n{number}.test." for number in range(40))]
    return good(query, *(f"{one} 9 IN CNAME {two}" for one, two in pairwise(names))).to_wire()


def _counts(query: bytes) -> bytes:
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 0xFFFF, 0xFFFF, 0xFFFF) + query[12:]


def _pointer(query: bytes) -> bytes:
    head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    return (
        head
        + b"\x01a\x04test\x00\x00\x01\x00\x01"
        + b"\xc0\x18"
        + b"\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\x0a\x00\x00\x01"
    )


def _code(code: int) -> Callable[[bytes], bytes]:
    return lambda query: (
        query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 0, 0, 0) + query[12:][: len(query) - 12 - 11]
    )


def _beside_nxdomain(query: bytes) -> bytes:
    reply = good(query, "a.test. 9 IN A 6.6.6.6")
    reply.set_rcode(3)
    return reply.to_wire()


def _not_a_reply(query: bytes) -> bytes:
    return query


@pytest.mark.parametrize(
    "lie",
    [
        _loop,
        _chain,
        _counts,
        _pointer,
        _beside_nxdomain,
        _not_a_reply,
        _code(2),
        _code(5),
        _code(4),
        _code(9),
    ],
)
def test_each_lie_is_a_discovery_error(lie: Callable[[bytes], bytes]) -> None:
    """In time, and in words."""
    said, _, seconds = look_up(lambda query, tcp: [lie(query)])
    assert isinstance(said, DiscoveryError)
    assert "127.0.0.1:" in str(said)
    assert seconds < 2


def test_truncation_asks_again_by_tcp() -> None:
    """And a server that truncates there, cuts the stream or sends too little is a DiscoveryError."""

    def reply(query: bytes, tcp: bool) -> list[bytes]:
        if not tcp:
            return [good(query, flags=dns.flags.TC).to_wire()]
        wire = good(query, *(f"a.test. 9 IN A 10.0.{n // 250}.{n % 250}" for n in range(1000))).to_wire(
            max_size=65535
        )
        return [struct.pack("!H", len(wire)), wire]

    said, liar, _ = look_up(reply)
    assert isinstance(said, Answer)
    assert len(said.addresses) == 1000
    assert liar.tcp_queries == 1
    for cut in (b"", b"\x00", b"\x00\x0c", b"\xff\xff" + b"x" * 100):
        said, _, seconds = look_up(
            lambda query, tcp, cut=cut: [cut] if tcp else [good(query, flags=dns.flags.TC).to_wire()]
        )
        assert isinstance(said, DiscoveryError)
        assert seconds < 2


def test_negative_ttl_comes_from_the_soa() -> None:
    """RFC 2308: the smaller of the SOA's TTL and its minimum."""

    def reply(query: bytes, tcp: bool) -> list[bytes]:
        answer = good(query)
        answer.set_rcode(3)
        answer.authority.append(dns.rrset.from_text("test.", 40, "IN", "SOA", "ns. me. 1 2 3 4 17"))
        return [answer.to_wire()]

    said, _, _ = look_up(reply)
    assert said == Answer(ttl=17.0)


def test_silence_is_asked_twice_and_then_over() -> None:
    """No server holds up a look-up beyond its share."""
    said, liar, seconds = look_up(lambda query, tcp: [])
    assert isinstance(said, DiscoveryError)
    assert "did not answer" in str(said)
    assert liar.queries == 2
    assert seconds < 1.5


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "x" * 64, ".".join(["y" * 60] * 6), "\x00", "a b", "é" * 100]
)
def test_impossible_names(name: str) -> None:
    """Refused without asking, or asked as they are: never another exception."""
    said, _, _ = look_up(lambda query, tcp: [_code(3)(query)], name)
    assert isinstance(said, (Answer, DiscoveryError))


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(max_size=300), st.sampled_from(["A", "SRV"]), st.booleans())
def test_random_bytes_behind_a_right_head(noise: bytes, kind: str, truncated: bool) -> None:
    """The id and the question are right, the rest is noise; the same over TCP."""

    def reply(query: bytes, tcp: bool) -> list[bytes]:
        question = query[12 : query.index(b"\x00", 12) + 5]
        flags = 0x8180 | (0x0200 if truncated and not tcp else 0)
        wire = (
            query[:2] + struct.pack("!HHHHH", flags, 1, len(noise) % 5, 0, len(noise) % 3) + question + noise
        )
        return [struct.pack("!H", len(wire)) + wire] if tcp else [wire]

    nameserver.TRY = 0.02
    said, _, seconds = look_up(reply, kind=kind)
    assert isinstance(said, (Answer, DiscoveryError))
    assert seconds < 2


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8), st.integers(0, 400))
def test_damaged_answers(flips: list[tuple[int, int]], length: int) -> None:
    """A right SRV answer with some bytes changed and its tail cut off."""

    def reply(query: bytes, tcp: bool) -> list[bytes]:
        message = good(query, *(f"a.test. 9 IN SRV 1 {n} 80 h{n}.test." for n in range(4)))
        message.additional.append(dns.rrset.from_text("h1.test.", 9, "IN", "A", "10.0.0.1"))
        wire = bytearray(message.to_wire())
        for place, value in flips:
            wire[2 + place % (len(wire) - 2)] = value
        damaged = bytes(wire[: max(12, length)])
        return [struct.pack("!H", len(damaged)) + damaged] if tcp else [damaged]

    nameserver.TRY = 0.02
    said, _, seconds = look_up(reply, kind="SRV")
    assert isinstance(said, (Answer, DiscoveryError))
    assert seconds < 2
