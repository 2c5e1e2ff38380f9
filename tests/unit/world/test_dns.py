"""The order of look-up, with scripted name servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.core.io import Answer, Family, Server
from meshlib.errors import DiscoveryError
from meshlib.world import dns
from meshlib.world.dns import Lookup
from meshlib.world.files import Files
from meshlib.world.nameserver import Records

SERVER = (Server("127.0.0.1"),)


class Dns:
    """Name servers and the system resolver, by name and type; unknown names do not exist for 7 s."""

    def __init__(self, folder: Path) -> None:
        self.said: dict[tuple[str, str], Any] = {}
        self.system: dict[str, list[str]] = {}
        self.asked: list[tuple[str, str, Sequence[Server]]] = []
        (folder / "hosts").write_text("10.9.9.9 fixed\n::9 fixed six\n")
        (folder / "resolv.conf").write_text("nameserver 10.0.0.53\nsearch corp\n")
        self.routes = "46"
        self.lookup = Lookup(
            Files(),
            hosts=str(folder / "hosts"),
            resolv_conf=str(folder / "resolv.conf"),
            routed=lambda family: family in self.routes,
            system=self.getaddrinfo,
        )

    async def ask(self, name: str, kind: str, servers: Sequence[Server], until: float) -> Records:
        """Stands in for `world.nameserver.ask`."""
        self.asked.append((name, kind, tuple(servers)))
        said = self.said.get((name, kind), Records((), 7.0, {}))
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, Records)
        return said

    def getaddrinfo(self, name: str, *_: Any) -> Any:
        """Stands in for `socket.getaddrinfo`."""
        if name not in self.system:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in self.system[name]]

    def have(self, name: str, *addresses: str, ttl: float = 20.0) -> None:
        """A name with addresses of one kind."""
        kind = "AAAA" if ":" in addresses[0] else "A"
        self.said[name, kind] = Records([SimpleNamespace(address=one) for one in addresses], ttl, {})

    def find(self, name: str, family: Family = "auto", servers: Sequence[Server] = ()) -> Answer:
        """One look-up."""
        return asyncio.run(self.lookup.addresses(name, family=family, servers=servers))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dns:
    """Everything scripted."""
    one = Dns(tmp_path)
    monkeypatch.setattr(dns, "ask", one.ask)
    return one


def test_literal_needs_nothing(world: Dns) -> None:
    """Whatever family was asked for."""
    assert world.find("::1", "4") == Answer(addresses=("::1",), ttl=3600.0, source="literal")
    assert world.asked == []


def test_hosts_file_comes_before_dns(world: Dns) -> None:
    """One family of it, both with "all"."""
    assert world.find("Fixed.").addresses == ("10.9.9.9",)
    assert world.find("fixed", "all").addresses == ("10.9.9.9", "::9")
    assert world.find("six") == Answer(addresses=("::9",), ttl=30.0, source="hosts")
    assert world.asked == []


def test_hosts_entry_of_the_other_family_does_not_count(world: Dns) -> None:
    """Then DNS is asked."""
    world.have("six.", "10.0.0.6")
    assert world.find("six", "4").source == "dns"


def test_localhost_is_never_asked(world: Dns) -> None:
    """RFC 6761, sub-domains too."""
    assert world.find("api.localhost") == Answer(addresses=("127.0.0.1",), ttl=30.0, source="localhost")
    assert world.find("localhost", "6").addresses == ("::1",)
    assert world.asked == []


def test_search_list_first_then_the_name(world: Dns) -> None:
    """resolv.conf's server is asked, for each candidate in turn."""
    world.have("orders.", "10.0.0.1")
    assert world.find("orders").addresses == ("10.0.0.1",)
    assert world.asked == [(name, "A", (Server("10.0.0.53"),)) for name in ("orders.corp.", "orders.")]


@pytest.mark.parametrize(
    ("routes", "found"), [("46", "10.0.0.1"), ("4", "10.0.0.1"), ("6", "::1"), ("", "10.0.0.1")]
)
def test_auto_is_the_family_with_a_route(world: Dns, routes: str, found: str) -> None:
    """Never both of one host."""
    world.routes = routes
    world.have("orders.", "10.0.0.1")
    world.have("orders.", "::1")
    assert world.find("orders").addresses == (found,)


def test_auto_takes_the_other_family_when_there_is_no_address(world: Dns) -> None:
    """Not when there was an error: that would move every call over and back."""
    world.have("orders.", "::1")
    assert world.find("orders").addresses == ("::1",)
    world.said["orders.corp.", "A"] = DiscoveryError("SERVFAIL")
    with pytest.raises(DiscoveryError):
        world.find("orders")


def test_all_needs_one_family_only_when_the_other_fails(world: Dns) -> None:
    """And asks again soon."""
    world.have("orders.", "10.0.0.1")
    world.have("orders.", "::1", ttl=10.0)
    both = world.find("orders", "all")
    assert (both.addresses, both.ttl) == (("10.0.0.1", "::1"), 10.0)
    world.said["orders.", "AAAA"] = DiscoveryError("NOTIMP")
    one = world.find("orders", "all")
    assert (one.addresses, one.ttl) == (("10.0.0.1",), 5.0)
    del world.said["orders.", "A"]
    with pytest.raises(DiscoveryError):
        world.find("orders", "all")


def test_system_resolver_is_last(world: Dns) -> None:
    """When DNS has nothing, and when DNS is out of reach."""
    world.system["printer"] = ["10.0.0.7", "10.0.0.7", "fe80::7"]
    assert world.find("printer") == Answer(addresses=("10.0.0.7",), ttl=30.0, source="system")
    world.said["printer.corp.", "A"] = DiscoveryError("timeout")
    assert world.find("printer").source == "system"


def test_nothing_anywhere_is_a_negative_answer(world: Dns) -> None:
    """With the name server's negative TTL."""
    assert world.find("nobody") == Answer(ttl=7.0)


def test_stated_servers_have_the_last_word(world: Dns) -> None:
    """Neither their silence nor their "none" is mended by another resolver."""
    world.system["orders"] = ["10.0.0.7"]
    assert world.find("orders", servers=SERVER).addresses == ()
    world.said["orders.corp.", "A"] = DiscoveryError("timeout")
    with pytest.raises(DiscoveryError):
        world.find("orders", servers=SERVER)


def test_resolv_conf_is_read_again_when_it_changes(world: Dns, tmp_path: Path) -> None:
    """And an unreadable one does not unlearn the last."""
    world.find("orders")
    (tmp_path / "resolv.conf").write_text("nameserver 10.0.0.54\n")
    world.find("orders")
    assert world.asked[-1] == ("orders.", "AAAA", (Server("10.0.0.54"),))
    (tmp_path / "resolv.conf").unlink()
    world.find("orders")
    assert world.asked[-1] == ("orders.", "AAAA", (Server("10.0.0.54"),))


def test_no_resolv_conf_means_the_system_resolver(world: Dns, tmp_path: Path) -> None:
    """Or an error that says so."""
    (tmp_path / "resolv.conf").unlink()
    world.system["orders"] = ["10.0.0.7"]
    assert world.find("orders").source == "system"
    with pytest.raises(DiscoveryError, match="no name server is known"):
        world.find("other")


def test_services_take_what_the_answer_carried(world: Dns) -> None:
    """The shortest TTL counts, and a target of "." is no service."""

    def record(target: str, port: int) -> SimpleNamespace:
        return SimpleNamespace(
            target=SimpleNamespace(to_text=lambda omit_final_dot: target), port=port, priority=1, weight=2
        )

    carried = {"a.corp": [("10.0.0.1", 5.0), ("::1", 9.0), ("10.0.0.1", 9.0)]}
    world.said["_x._tcp.a.", "SRV"] = Records(
        [record("A.corp", 1), record(".", 0), record("b", 2)], 20.0, carried
    )
    answer = asyncio.run(world.lookup.services("_x._tcp.a"))
    assert [(one.target, one.port, one.addresses) for one in answer.records] == [
        ("a.corp", 1, ("10.0.0.1", "::1")),
        ("b", 2, ()),
    ]
    assert answer.ttl == 5.0
