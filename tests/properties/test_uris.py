"""URIs: rendering and parsing undo each other, and no text is too strange for a clear answer."""

from hypothesis import example, given
from hypothesis import strategies as st

from meshlib.core.uri import URI, parse, redact_url, service_key
from meshlib.errors import ConfigError

HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,10})(\.[a-z0-9_]{1,8}){0,3}\.?", fullmatch=True),
    st.ip_addresses(v=6).map(str),
)
AUTHORITIES = st.lists(st.tuples(HOSTS, st.none() | st.integers(1, 65535)), max_size=4).map(tuple)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXT.filter(bool).map(lambda name: "o" + name + "o")
URIS = st.builds(
    URI,
    scheme=st.from_regex(r"[a-z][a-z0-9+.-]{0,8}", fullmatch=True),
    authorities=AUTHORITIES,
    path=st.just("") | TEXT.map(lambda path: "/" + path),
    pairs=st.lists(st.tuples(NAMES, TEXT), max_size=4).map(tuple),
)


@given(URIS)
def test_round_trip(uri: URI) -> None:
    """What is rendered parses to the same."""
    assert parse(uri.render()) == uri


@given(st.text() | st.from_regex(r"[a-z]{1,3}://\[?[a-z:@,%#]{0,9}\]?[/?#=&%a@]{0,9}", fullmatch=True))
@example("a://[::1%25]")
@example("a://\ud800")
@example("http://\ud800?\ud800=%")
def test_any_text_is_answered(text: str) -> None:
    """Every text is a URI or a ConfigError."""
    for read in (parse, service_key):
        try:
            read(text)
        except ConfigError:
            pass
    assert isinstance(redact_url(text), str)


@given(TEXT.filter(lambda text: len(text) > 3 and not set(text) & set("/?#")))
def test_userinfo_is_never_shown(secret: str) -> None:
    """Whatever stands before '@' in a URL is not in its shown form."""
    assert redact_url(f"http://{secret}@") == "http://"
