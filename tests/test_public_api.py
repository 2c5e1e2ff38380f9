"""The public face: exactly these names, each loaded at its first use, and nothing heavy before that."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import meshlib

PUBLIC = [
    "AsyncClient",
    "AttemptsExhaustedError",
    "CircuitOpenError",
    "Client",
    "ConfigError",
    "DeadlineExceededError",
    "DiscoveryError",
    "LimitExceededError",
    "Mesh",
    "MeshError",
    "NoEndpointError",
    "Policy",
    "RateLimitedError",
    "__version__",
    "circuit_breaker",
    "deadline",
    "retry",
    "timeout",
]
HEAVY = {
    "asyncio",
    "cryptography",
    "dataclasses",
    "dns",
    "grpc",
    "httpx",
    "importlib.metadata",
    "msgspec",
    "opentelemetry",
    "typing",
}
PACKAGE = Path(meshlib.__file__).parent


def bare_python(parent: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Runs `program` without site, whose .pth files may have imported anything, with `parent` on the path."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(parent)!r}); {program}",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_all_is_this_list() -> None:
    """Adding, renaming or removing a public name is a decision, made here too."""
    assert meshlib.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_name_resolves(name: str) -> None:
    """Every public name can be had, and the second access finds it without `__getattr__`."""
    value = getattr(meshlib, name)
    assert value is not None
    assert vars(meshlib)[name] is value


def test_dir_lists_public_names() -> None:
    """Completion in a shell shows what has not been loaded yet."""
    assert set(PUBLIC) <= set(dir(meshlib))


def test_unknown_name() -> None:
    """A typing error is an ordinary AttributeError, so `hasattr` and `from ... import` behave."""
    with pytest.raises(AttributeError, match="no attribute 'Cleint'"):
        _ = meshlib.Cleint
    assert not hasattr(meshlib, "Cleint")


def test_version_is_a_literal() -> None:
    """The version costs no metadata look-up, and is one a package index accepts."""
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", meshlib.__version__)


def test_import_is_light() -> None:
    """`import meshlib` brings none of the dependencies, nor the standard library's dear modules."""
    done = bare_python(PACKAGE.parent, "import meshlib; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("name", ["mrmeshpy.so", "mrmeshpy.cpython-311-x86_64-linux-gnu.so", "mrmeshpy.pyd"])
def test_geometry_package_beside_ours(tmp_path: Path, name: str) -> None:
    """Files of the unrelated distribution in our folder are named at import, with the way out."""
    (tmp_path / "meshlib").mkdir()
    shutil.copy(PACKAGE / "__init__.py", tmp_path / "meshlib")
    assert bare_python(tmp_path, "import meshlib").returncode == 0
    (tmp_path / "meshlib" / name).touch()
    done = bare_python(tmp_path, "import meshlib")
    assert done.returncode == 1
    assert "ImportError: two distributions" in done.stderr
    assert "pip uninstall" in done.stderr
