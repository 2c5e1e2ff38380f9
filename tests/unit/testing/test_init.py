"""The package's lazy names."""

import subprocess
import sys

import pytest

import meshlib.testing


@pytest.mark.parametrize("name", meshlib.testing.__all__)
def test_name_resolves(name: str) -> None:
    """Every public name can be had and is listed."""
    assert getattr(meshlib.testing, name) is not None
    assert name in dir(meshlib.testing)


def test_unknown_name() -> None:
    """A typing error is an ordinary AttributeError."""
    with pytest.raises(AttributeError, match="no attribute 'FakeClok'"):
        _ = meshlib.testing.FakeClok


def test_import_is_cheap() -> None:
    """Importing the package loads none of its parts, and no part but the fixtures loads pytest."""
    program = (
        "import sys, meshlib.testing as t\n"
        "assert 'asyncio' not in sys.modules\n"
        "[getattr(t, name) for name in t.__all__]\n"
        "assert not {'pytest', 'httpx', 'grpc'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
