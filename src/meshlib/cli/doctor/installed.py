"""What is installed: versions, the unrelated distribution of our name, and what is missing for what is configured."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import meshlib
from meshlib.cli.doctor.finding import Finding, fail, ok, warn

__all__ = ["check_names", "check_versions"]

_NEEDED = (
    "httpx",
    "httpcore",
    "msgspec",
    "dnspython",
    "opentelemetry-sdk",
    "grpcio",
    "tenacity",
    "cryptography",
    "httptools",
)
_OPTIONAL = ("rich", "pyyaml", "h2", "uvloop")


def check_versions(config: str | None) -> Iterator[Finding]:
    """Python, meshlib and what it depends on."""
    build = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else " without the GIL"
    python = f"{platform.python_implementation()} {platform.python_version()}{build}"
    yield ok(
        "versions", f"meshlib {meshlib.__version__}, {python} on {platform.system()} {platform.machine()}"
    )
    missing = [name for name in _NEEDED if _version(name) is None]
    if missing:
        command = f"pip install {' '.join(missing)}"
        yield fail(
            "versions", f"not installed: {', '.join(missing)}", f"{command}, or reinstall meshlib-client"
        )
    present = [
        f"{name} {_version(name)}" for name in (*_NEEDED[:4], *_OPTIONAL) if _version(name) is not None
    ]
    yield ok("versions", ", ".join(present))


def check_names(config: str | None) -> Iterator[Finding]:
    """The PyPI distribution `meshlib` (3D geometry) unpacks into our folder."""
    clash = _version("meshlib")
    folder = Path(meshlib.__path__[0])
    strangers = sorted(path.name for path in folder.glob("mrmesh*"))
    if clash is not None or strangers:
        what = f"the 3D-geometry distribution 'meshlib' {clash or ''} is installed beside meshlib-client".replace(
            "  ", " "
        )
        yield fail("name", what, "pip uninstall meshlib meshlib-client, then install the one you want")
    else:
        yield ok("name", "the import name meshlib is ours alone")
    if (Path.cwd() / "meshlib").is_dir() and (Path.cwd() / "meshlib").resolve() != folder.resolve():
        yield warn(
            "name",
            "there is a folder 'meshlib' here",
            "Python started here imports it in our place: rename it",
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
