"""The doctor: its checks one by one, with the world arranged for each."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshlib.cli.doctor import command, neighbours
from meshlib.cli.doctor.command import CHECKS, examine, run
from meshlib.cli.doctor.configured import check_policy, check_registries
from meshlib.cli.doctor.finding import Finding, fail, ok, warn
from meshlib.cli.doctor.installed import check_names
from meshlib.cli.doctor.neighbours import check_proxies, check_sidecar
from meshlib.cli.doctor.process import check_clock, check_fork


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MESHLIB_CONFIG",
        "MESHLIB_DISCOVERY",
        "WEB_CONCURRENCY",
        "GUNICORN_CMD_ARGS",
        "SERVER_SOFTWARE",
    ):
        monkeypatch.delenv(name, raising=False)


def levels(findings: Iterator[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def document(folder: Path, text: str) -> str:
    path = folder / "meshlib.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("findings", "status"), [([ok("a", "b"), warn("a", "b", "c")], 0), ([fail("a", "b", "c")], 1)]
)
def test_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], findings: list[Finding], status: int
) -> None:
    """Only a failure fails; advice stands below its finding; JSON holds the same."""
    monkeypatch.setattr(command, "examine", lambda config: iter(findings))
    assert run(argparse.Namespace(config=None, json=False)) == status
    assert capsys.readouterr().out.startswith(f"{findings[0].level:<5}a: b\n")
    assert run(argparse.Namespace(config=None, json=True)) == status
    assert [one["level"] for one in json.loads(capsys.readouterr().out)] == [one.level for one in findings]


def test_a_broken_check_does_not_stop_the_others() -> None:
    """It becomes a finding itself."""

    def check_nothing(config: str | None) -> Iterator[Finding]:
        raise ZeroDivisionError("oh")
        yield

    found = list(examine(None, [check_nothing, check_clock]))
    assert [one.level for one in found] == ["fail", "ok"]
    assert "ZeroDivisionError: oh" in found[0].text
    assert len(CHECKS) == 10


def test_valid_policy(tmp_path: Path) -> None:
    """A valid document is ok; what this version ignores is a warning with its path."""
    path = document(tmp_path, "version = 1\n[services.orders]\nhedge = {delay = 0.1}\n")
    found = list(check_policy(path))
    assert [one.level for one in found] == ["ok", "warn"]
    assert "services.orders.hedge" in found[1].text


def test_invalid_policy(tmp_path: Path) -> None:
    """Each problem is a failure of its own, with the line."""
    path = document(tmp_path, "version = 1\n[defaults]\ntimeout = -1\nretry = {attempts = 0}\n")
    found = list(check_policy(path))
    assert [one.level for one in found] == ["fail", "fail"]
    assert "meshlib.toml:3" in found[0].text
    assert list(check_registries(path)) == []


def test_missing_policy() -> None:
    """A document that is not there is a failure, not a traceback."""
    assert levels(check_policy("nowhere.toml")) == ["fail"]


def test_misspelt_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that nobody reads is pointed out."""
    monkeypatch.setenv("MESHLIB_CONFG", "x")
    assert levels(check_policy(None)) == ["warn", "ok"]


def test_registries(tmp_path: Path) -> None:
    """Every source is asked: one that answers, one that is empty, one that is not there, one that nobody knows."""
    (tmp_path / "empty.json").write_text('{"endpoints": []}')
    path = document(
        tmp_path,
        f"""version = 1
        [services.good]
        discovery = "static://10.0.0.1:80"
        [services.empty]
        discovery = "file://{tmp_path}/empty.json"
        [services.gone]
        discovery = "file://{tmp_path}/gone.json"
        """,
    )
    found = {one.subject: one for one in check_registries(path)}
    assert found["registry good"].level == "ok"
    assert found["registry empty"].level == "warn"
    assert found["registry gone"].level == "fail"
    assert "gone.json" in found["registry gone"].text


def test_sidecar_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Istio's variables betray it."""
    monkeypatch.setattr(neighbours, "_PORTS", ())
    monkeypatch.setenv("ISTIO_META_MESH_ID", "x")
    [found] = check_sidecar(None)
    assert found.level == "warn"
    assert "Istio" in found.text


def test_sidecar_by_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does an admin port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(neighbours, "_PORTS", ((server.getsockname()[1], "an admin port"),))
        [found] = check_sidecar(None)
    assert found.level == "warn"
    assert "an admin port" in found.text


def test_preloading_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn --preload is pointed out, several workers are mentioned."""
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--preload --workers 4")
    assert "warn" in levels(check_fork(None))
    monkeypatch.delenv("GUNICORN_CMD_ARGS")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    assert any("4 workers" in one.text for one in check_fork(None))


def test_folder_of_our_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called meshlib where Python is started hides the package."""
    (tmp_path / "meshlib").mkdir()
    monkeypatch.chdir(tmp_path)
    assert levels(check_names(None))[-1] == "warn"


def test_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are mentioned, because balanced services do not use them."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    [found] = check_proxies(None)
    assert "HTTP_PROXY" in found.text
    assert "3128" not in found.text
