"""Match: everything that is written must hold."""

import pytest

from meshlib.errors import ConfigError
from meshlib.routing import Match


@pytest.mark.parametrize(
    ("match", "method", "path", "headers", "holds"),
    [
        (Match(), "GET", "/x", {}, True),
        (Match(path="/x"), "GET", "/x", {}, True),
        (Match(path="/x"), "GET", "/x/", {}, False),
        (Match(path_prefix="/v1"), "GET", "/v1", {}, True),
        (Match(path_prefix="/v1/"), "GET", "/v1", {}, True),
        (Match(path_prefix="/v1"), "GET", "/v1/x", {}, True),
        (Match(path_prefix="/v1"), "GET", "/v10", {}, False),
        (Match(path_prefix="/"), "GET", "/anything", {}, True),
        (Match(path_prefix="/"), "OPTIONS", "*", {}, False),
        (Match(methods=["GET", "HEAD"]), "HEAD", "/", {}, True),
        (Match(methods=["GET"]), "POST", "/", {}, False),
        (Match(headers={"X-User": "a"}), "GET", "/", {"x-user": "a"}, True),
        (Match(headers={"X-User": "a"}), "GET", "/", {"x-user": "A"}, False),
        (Match(headers={"X-User": "a"}), "GET", "/", {}, False),
    ],
)
def test_holds(match: Match, method: str, path: str, headers: dict[str, str], holds: bool) -> None:
    """Paths by whole or by segments, methods by case, header names without, values exactly."""
    assert match.holds(method, path, headers) is holds


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"path": "v1"}, "expected a path such as /v1/reports"),
        ({"path_prefix": "/v1?x"}, "without query"),
        ({"path": "/a//b"}, "expected a path"),
        ({"path": "/a", "path_prefix": "/b"}, "exclude each other"),
        ({"methods": ["get"]}, "in capitals"),
        ({"methods": ["GET "]}, "in capitals"),
        ({"headers": {"a b": "1"}}, "cannot be a header's name"),
    ],
)
def test_refuses(wrong: dict[str, object], hint: str) -> None:
    """A match that no request can meet is a mistake."""
    with pytest.raises(ConfigError, match=hint):
        Match(**wrong)  # type: ignore[arg-type]
