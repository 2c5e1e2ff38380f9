"""RouteTable: the indexed look-up equals going through the list."""

from hypothesis import given
from hypothesis import strategies as st

from meshlib.routing import Match, Route, RouteTable

SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4)
PATHS = SEGMENTS.map(lambda parts: "/" + "/".join(parts)) | st.sampled_from(["*", "", "a/b"])
CLEAN = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3).map(lambda parts: "/" + "/".join(parts))
METHODS = st.sampled_from(["GET", "POST"])
REST = {
    "methods": st.lists(METHODS, max_size=1),
    "headers": st.dictionaries(st.just("H"), st.sampled_from(["1", "2"]), max_size=1),
}
MATCHES = st.one_of(
    st.builds(Match, path=CLEAN, **REST),
    st.builds(Match, path_prefix=CLEAN | CLEAN.map(lambda path: path.rstrip("/") + "/"), **REST),
    st.builds(Match, **REST),
)


@given(st.lists(MATCHES, max_size=8), METHODS, PATHS, st.sampled_from([{}, {"h": "1"}, {"h": "2"}]))
def test_index_equals_list(matches: list[Match], method: str, path: str, headers: dict[str, str]) -> None:
    """The first match of the list is what the table finds."""
    table = RouteTable([Route(str(rank), match, None, rank) for rank, match in enumerate(matches)])
    naive = next((rank for rank, match in enumerate(matches) if match.holds(method, path, headers)), None)
    route = table.find(method, path, headers)
    assert (None if route is None else route.target) == naive
