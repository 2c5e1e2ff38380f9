"""RouteTable: the first match wins, whatever the index does."""

from meshlib.routing import Match, Route, RouteTable


def table(*matches: Match) -> RouteTable[int]:
    return RouteTable([Route(f"r{rank}", match, None, rank) for rank, match in enumerate(matches)])


def found(routes: RouteTable[int], path: str, method: str = "GET", **headers: str) -> int | None:
    route = routes.find(method, path, headers)
    return None if route is None else route.target


def test_no_routes() -> None:
    """Without routes nothing is found and nothing is looked at."""
    empty: RouteTable[int] = RouteTable()
    assert empty.find("GET", "/", None) is None  # type: ignore[arg-type]
    assert not empty
    assert table(Match())


def test_first_wins_across_kinds() -> None:
    """An earlier route wins over a later one of any other kind."""
    routes = table(
        Match(path="/v1/x", methods=["GET"]), Match(path_prefix="/v1"), Match(path="/v1/y"), Match(), Match(path_prefix="/v2")
    )  # fmt: skip
    assert found(routes, "/v1/x") == 0
    assert found(routes, "/v1/x", "POST") == 1
    assert found(routes, "/v1/y") == 1
    assert found(routes, "/v2/y") == 3
    assert found(routes, "/") == 3


def test_prefixes_of_every_depth() -> None:
    """Deeper prefixes are found beside shallow ones, up to a segment's boundary."""
    routes = table(
        Match(path_prefix="/a/b/c"), Match(path_prefix="/a/b"), Match(path_prefix="/a/", headers={"h": "1"})
    )
    assert found(routes, "/a/b/c/d/e") == 0
    assert found(routes, "/a/b/cd") == 1
    assert found(routes, "/a", h="1") == 2
    assert found(routes, "/a", h="2") is None
    assert found(routes, "/a" * 10_000) is None
    assert found(routes, "*") is None


def test_routes_of_one_bucket_keep_their_order() -> None:
    """Among routes of one path the first whose method and headers match is taken."""
    routes = table(
        Match(path="/x", methods=["POST"]), Match(path="/x", headers={"H": "1"}), Match(path="/x"), Match(path="/x")
    )  # fmt: skip
    assert found(routes, "/x", "POST") == 0
    assert found(routes, "/x", h="1") == 1
    assert found(routes, "/x") == 2


def test_is_readable() -> None:
    """A route's repr is its name."""
    assert repr(table(Match()).routes[0]) == "Route('r0')"
