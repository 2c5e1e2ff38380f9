"""`meshlib ca`: what it writes, who may read it, and that what it prints is a policy that works."""

from __future__ import annotations

import os
import re
import tomllib

import pytest

from meshlib.cli.main import main
from meshlib.core.uri import service_key
from meshlib.mesh import Mesh
from meshlib.policy import parse
from meshlib.security.context import client_context
from meshlib.security.credentials import Credentials, Where
from meshlib.security.identity import read_now
from meshlib.security.server import ServerContext
from tests.tls import handshake


@pytest.fixture
def ca(tmp_path):
    """Runs `meshlib ca` in a folder of its own."""
    folder = str(tmp_path / "mesh ca")

    def run(action, *arguments):
        return main(["ca", action, *arguments, "--folder", folder])

    run.folder = tmp_path / "mesh ca"
    return run


def held(folder, service):
    """What a process with these files is."""
    where = Where(*(str(folder / name) for name in ("ca.pem", f"{service}.pem", f"{service}-key.pem")))

    def read(path):
        with open(path, "rb") as file:
            return file.read()

    return Credentials(read_now(where, read), where)


def test_mutual_tls_in_three_commands(ca, capsys):
    """The two certificates know each other, and the printed lines are what makes a mesh use them."""
    assert ca("init") == ca("issue", "web") == ca("issue", "orders", "--name", "orders.example") == 0
    web, orders = held(ca.folder, "web"), held(ca.folder, "orders")
    handshake(client_context(web, True, ()), ServerContext(lambda: orders), "orders.example")
    printed = capsys.readouterr().out.partition("orders.pem: ")[2]
    tables = "\n".join(re.findall(r"^(?:\[|tls).*$", printed, re.MULTILINE))
    document = tomllib.loads(f"version = 1\n{tables}")
    document["services"]["orders"]["discovery"] = "static://127.0.0.1:1"
    assert parse(document, "printed")
    with Mesh(policy=document, telemetry=False) as mesh:
        mesh.runtime.service(service_key("orders"))
        security = mesh.runtime.security("orders")
        assert security.rotation.credentials.names.spiffe_id == "spiffe://mesh.internal/orders"
        assert security.options.spiffe_ids == ("spiffe://mesh.internal/orders",)


@pytest.mark.skipif(os.name == "nt", reason="no such modes there")
def test_keys_are_private(ca):
    """Their owner's only, whatever the umask; so is the folder."""
    before = os.umask(0)
    try:
        assert ca("init") == ca("issue", "orders") == 0
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in ca.folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca-key.pem": 0o600, "orders.pem": 0o644, "orders-key.pem": 0o600}
    assert ca.folder.stat().st_mode & 0o777 == 0o700


def test_an_authority_is_not_lost_by_accident(ca, capsys):
    """A second init is refused; --force makes a new one."""
    assert ca("init", "--trust-domain", "a.test") == 0
    first = (ca.folder / "ca.pem").read_bytes()
    assert ca("init") == 2
    assert "--force" in capsys.readouterr().err
    assert (ca.folder / "ca.pem").read_bytes() == first
    assert ca("init", "--force") == 0
    assert (ca.folder / "ca.pem").read_bytes() != first


def test_renewing(ca):
    """The same command again is a rotation."""
    assert ca("init") == ca("issue", "orders") == 0
    first = held(ca.folder, "orders")
    assert ca("issue", "orders") == 0
    assert held(ca.folder, "orders").chain != first.chain


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["issue", "orders"],
            "cannot be read: No such file or directory; `meshlib ca init` makes an authority",
        ),
        (["init", "--trust-domain", "A"], "a trust domain is"),
        (["init", "--days", "0"], "expected days from"),
        (["init", "--days", "x"], "expected days from"),
    ],
)
def test_wrong_usage(ca, capsys, arguments, said):
    """2, with what to do."""
    assert ca(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("service", "said"), [("ca", "authority's own files"), ("a b", "a service's name is")]
)
def test_names_that_cannot_be(ca, capsys, service, said):
    """Nothing is written for them."""
    assert ca("init") == 0
    assert ca("issue", service) == 2
    assert said in capsys.readouterr().err
    assert len(list(ca.folder.iterdir())) == 2


def test_a_path_as_identity(ca, capsys):
    """Services in namespaces are paths; the name of the service is the last part."""
    assert ca("init") == ca("issue", "ns/shop/orders") == 0
    printed = capsys.readouterr().out
    assert "spiffe://mesh.internal/ns/shop/orders, also localhost" in printed
    assert "[services.orders]" in printed
    assert (ca.folder / "ns-shop-orders-key.pem").exists()


def test_what_cannot_be_written(ca, tmp_path, capsys):
    """The system's reason, and no half of a file."""
    (tmp_path / "mesh ca").write_text("a file")
    assert ca("init", "--force") == 2
    assert "cannot be made: File exists" in capsys.readouterr().err
    (tmp_path / "mesh ca").unlink()
    (tmp_path / "mesh ca" / "ca.pem").mkdir(parents=True)
    assert ca("init", "--force") == 2
    assert "ca.pem: cannot be written" in capsys.readouterr().err
    assert sorted(path.name for path in ca.folder.iterdir()) == ["ca-key.pem", "ca.pem"]
