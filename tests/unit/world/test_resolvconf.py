"""resolv.conf and the names it makes of a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshlib.core.io import Server
from meshlib.errors import DiscoveryError
from meshlib.world.resolvconf import candidates, parse_resolv_conf, search_domains


def test_servers_search_and_ndots() -> None:
    """In their order."""
    conf = parse_resolv_conf(
        b"nameserver 10.0.0.53\nnameserver ::1\nsearch a.example b.example.\noptions ndots:5 timeout:1\n"
    )
    assert conf.servers == (Server("10.0.0.53"), Server("::1"))
    assert conf.search == ("a.example", "b.example")
    assert conf.ndots == 5


@pytest.mark.parametrize(
    "content", [b"", b"nameserver nonsense\n", b"nameserver 1.1.1.1\nsearch a..b\n", b"\xff\xfe"]
)
def test_nonsense_is_a_discovery_error(content: bytes) -> None:
    """Never another exception."""
    with pytest.raises(DiscoveryError):
        parse_resolv_conf(content)


@pytest.mark.parametrize(
    ("name", "ndots", "tried"),
    [
        ("orders", 1, ("orders.x.", "orders.y.", "orders.")),
        ("orders.prod", 1, ("orders.prod.", "orders.prod.x.", "orders.prod.y.")),
        ("orders.prod", 5, ("orders.prod.x.", "orders.prod.y.", "orders.prod.")),
        ("orders.", 5, ("orders.",)),
    ],
)
def test_candidates(name: str, ndots: int, tried: tuple[str, ...]) -> None:
    """Dots decide whether a name is tried as it is first."""
    assert candidates(name, ("x", "y"), ndots) == tried


def test_search_domains_alone(tmp_path: Path) -> None:
    """The last line wins; no file, no domains."""
    file = tmp_path / "resolv.conf"
    file.write_text("domain old\nsearch A.example. b\nnameserver x\n")
    assert search_domains(str(file)) == ("a.example", "b")
    assert search_domains(str(tmp_path / "none")) == ()
