"""What our clients build and answer the fast way is, to everybody who looks, what the family's own client would have built."""

from __future__ import annotations

import asyncio
import random
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from meshlib.transport.lazy_request import raw_headers
from tests.fast_clients import FAMILIES, HTTPX, Answer, Family, attributes, copies, shown, tried

settings.register_profile("oracle", deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHORT = settings(settings.get_profile("oracle"), max_examples=250)

# Requests.

ODD = st.text(max_size=12)


def mostly(
    plain: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], times: int = 25
) -> st.SearchStrategy[Any]:
    """What the fast way is for, but once in `times` what it has to notice."""
    return st.integers(1, times).flatmap(lambda chance: odd if chance == times else plain)


TOKENS = st.text(string.ascii_letters + "-", min_size=1, max_size=6)
SEGMENTS = mostly(
    st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@", max_size=8),
    st.sampled_from(
        [".", "..", ".well-known", "%41", "%2F", "%zz", "%", "a b", "ü", "|", '"', "x:y", "?", "#"]
    ),
)
PATHS = st.lists(SEGMENTS, max_size=4).map("/".join)
QUERIES = mostly(st.sampled_from(["", "", "", "?a=1&b=%20", "?"]), ODD.map("?".__add__) | st.just("#part"))
RELATIVE = st.builds(
    lambda lead, path, query: lead + path + query,
    mostly(st.sampled_from(["/", "/", ""]), st.sampled_from(["//", "./", "../", ":", "a:"])),
    PATHS,
    QUERIES,
)
AUTHORITIES = mostly(
    st.sampled_from(
        [
            "http://orders",
            "https://orders:8443",
            "http://ORDERS:80",
            "http://10.0.0.1:8080",
            "http://[::1]:8080",
        ]
    ),
    st.sampled_from(
        [
            "HTTP://orders.svc",
            "http://999.0.0.1",
            "http://user:secret@orders",
            "http://käse.example",
            "http://xn--kse-qla.example",
            "ftp://orders",
            "http://",
            "http:",
            "//orders",
            "http://orders:no",
        ]
    ),
)
URLS = mostly(RELATIVE | st.builds("{}/{}{}".format, AUTHORITIES, PATHS, QUERIES), ODD | AUTHORITIES)
BASES = mostly(
    st.sampled_from(["http://orders", "http://orders/api", "https://orders:8443/a/b/"]),
    st.sampled_from(
        ["", "http://o/%41?x=1", "http://u:p@orders", "/no", "http://orders/#part", "http://o/a|b"]
    ),
)
NAMES = mostly(
    st.sampled_from(["Accept", "accept", "X-Tenant", "x-tenant", "Content-Type", "Idempotency-Key", "Cookie"])
    | TOKENS,
    st.sampled_from(
        [
            "content-length",
            "Host",
            "Transfer-Encoding",
            "Connection",
            "Expect",
            "Upgrade",
            "bad name",
            "",
            "ü",
        ]
    ),
)
VALUES = mostly(
    TOKENS, st.sampled_from(["", "1", "keep-alive", "close", " padded ", "a\r\nb", "ü", "text/plain"])
)
HEADERS = mostly(
    st.none() | st.dictionaries(NAMES, VALUES, max_size=3), st.lists(st.tuples(NAMES, VALUES), max_size=3)
)
SCALARS = mostly(
    TOKENS | st.integers(-5, 10**20) | st.booleans(), ODD | st.none() | st.floats(allow_nan=False)
)
PARAMS = mostly(
    st.none() | st.dictionaries(TOKENS, SCALARS, min_size=1, max_size=3),
    st.dictionaries(ODD, st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), max_size=3)
    | st.lists(st.tuples(ODD, SCALARS), max_size=2)
    | st.sampled_from(["a=1", ""]),
)
JSON = st.recursive(SCALARS, lambda one: st.lists(one, max_size=2) | st.dictionaries(ODD, one, max_size=2))
BODIES = mostly(
    st.just({})
    | st.builds(lambda json: {"json": json}, JSON)
    | st.builds(lambda content: {"content": content}, st.binary(max_size=8) | ODD),
    st.builds(lambda data: {"data": data}, st.dictionaries(TOKENS, TOKENS, max_size=2))
    | st.sampled_from([{"json": object()}, {"json": float("nan")}, {"content": b"x", "json": {"both": 1}}]),
)
METHODS = mostly(
    st.sampled_from(["GET", "get", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    st.sampled_from(["QUERY", "Purge", "b d", ""]),
)
FAMILY = st.sampled_from(FAMILIES)
RNG = random.Random(0)


CLIENTS = st.fixed_dictionaries(
    {"base_url": BASES},
    optional={
        "headers": mostly(st.none(), HEADERS),
        "params": mostly(st.none(), PARAMS),
        "cookies": mostly(st.none(), st.just({"id": "1"})),
    },
)


def same(mine: Any, other: Any, plain: type, rng: random.Random) -> None:
    """Every public attribute, in any order, and again on the second look."""
    names = attributes(plain, other)
    rng.shuffle(names)
    for name in names * 2:
        assert tried(lambda name=name: getattr(mine, name)) == tried(
            lambda name=name: getattr(other, name)
        ), name
    assert repr(mine) == repr(other)


def written(family: Family, mine: Any, other: Any) -> bool:
    """What would go onto the wire without looking; whether there is anything."""
    if type(mine) is not family.lazy.Request or mine._block is None:
        return False
    assert raw_headers(mine._block) == other.headers.raw
    assert mine._target == other.url.raw_path
    assert mine._origin == (other.url.scheme, other.url.host, other.url.port)
    assert mine._body == other.content
    assert mine.path() == other.url.path
    assert mine._names <= {name.lower() for name, _ in other.headers.raw}
    return True


@example({"base_url": "http://o/a/"}, HTTPX, "GET", "/b/../c?x=1", None, {"y": "2"}, {}, RNG)
@example(
    {"base_url": "http://o/a/"}, HTTPX, "POST", "b?x=1", {"content-type": "x"}, {"y": "2"}, {"json": 1}, RNG
)
@example(
    {"base_url": "http://o", "headers": {"A": "1"}}, HTTPX, "put", "", {"a": "2", "B": ""}, None, {}, RNG
)
@given(CLIENTS, FAMILY, METHODS, URLS, HEADERS, PARAMS, BODIES, st.randoms())
@SHORT
def test_requests(
    arguments: dict[str, Any],
    family: Family,
    method: str,
    url: str,
    headers: Any,
    params: Any,
    body: dict[str, Any],
    rng: random.Random,
) -> None:
    """Built alike, refused alike, and alike to the last attribute, pickled and copied too."""
    made = [tried(lambda make=make: make([Answer()], **arguments)) for make in (family.ours, family.theirs)]
    if any(isinstance(one, tuple) for one in made):
        assert made[0] == made[1]
        return
    ours, theirs = made
    where: Any = url
    if rng.random() < 0.2 and "URL" in tried(lambda: family.module.URL(url)):
        where = family.module.URL(url)
    given_headers = family.module.Headers(headers) if rng.random() < 0.2 and plausible(headers) else headers
    named = {"headers": given_headers, "params": params, **body}
    answers = [tried(lambda c=c: c.build_request(method, where, **named)) for c in (ours, theirs)]
    assert answers[0] == answers[1]
    if answers[0][0] != "Request":
        return
    mine, other = (client.build_request(method, where, **named) for client in (ours, theirs))
    event("fast" if written(family, mine, other) else "not fast")
    if rng.random() < 0.5:
        for how, one in copies(mine).items():
            assert type(one) is family.module.Request, how
            same(one, copies(other)[how], family.module.Request, rng)
    same(mine, other, family.module.Request, rng)
    assert mine.read() == other.read()


def plausible(headers: Any) -> bool:
    """Whether Headers takes them."""
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return all(name.isascii() and value.isascii() for name, value in pairs)


# Responses.

KINDS = mostly(
    st.sampled_from([b"application/json", b"text/html; charset=utf-8", b"text/plain; charset=latin-1"]),
    st.sampled_from(
        [b"text/plain; charset=nonsense", b"charset", b"", b"\xff", b'text/plain; charset="UTF-8"']
    ),
)
FIELDS = st.lists(
    mostly(
        st.tuples(st.just(b"Content-Type"), KINDS)
        | st.tuples(st.sampled_from([b"X-One", b"x-one", b"ETag"]), st.sampled_from([b"1", b"", b"two"])),
        st.sampled_from(
            [
                (b"Set-Cookie", b"id=1; Path=/"),
                (b"set-cookie", b"b=2"),
                (b"Location", b"/elsewhere"),
                (b"location", b"http://other/"),
                (b"Location", b"http://[bad"),
                (b"Link", b'<https://orders/2>; rel="next"'),
                (b"Content-Type", b"text/plain"),
                (b"X-Raw", b"\xc3\xbc"),
                (b"X-Raw", b"\xfc"),
                (b"Retry-After", b"1"),
            ]
        ),
        5,
    ),
    max_size=4,
)
STATUSES = mostly(
    st.sampled_from([200, 201, 204, 404, 503]),
    st.sampled_from([301, 302, 303, 307, 308, 304, 418, 600, 199]),
    4,
)
ANSWERS = st.builds(
    Answer,
    STATUSES,
    mostly(st.sampled_from([b"", b'{"id":42}', "käse\nzwei".encode()]), st.binary(max_size=12), 4),
    FIELDS,
    mostly(st.just(b"OK"), st.sampled_from([b"", b"Gr\xfc\xdfe"]), 5),
    mostly(st.just(b"HTTP/1.1"), st.just(b"HTTP/1.0")),
)
ENCODINGS = mostly(st.just("utf-8"), st.sampled_from(["latin-1", "nonsense", str]), 3)


def detected(content: bytes) -> str:
    """A `default_encoding` that looks."""
    return "utf-16" if content.startswith(b"\xff\xfe") else "latin-1"


ACTIONS: list[Any] = [
    lambda one: one.json(),
    lambda one: one.read(),
    lambda one: one.raise_for_status(),
    lambda one: list(one.iter_bytes(3)),
    lambda one: list(one.iter_text()),
    lambda one: list(one.iter_lines()),
    lambda one: list(one.iter_raw()),
    lambda one: one.close(),
    lambda one: setattr(one, "encoding", "latin-1"),
]


def looked(mine: Any, other: Any, family: Family, rng: random.Random) -> None:
    """Methods in any order, attributes in any order; then copies."""
    actions = rng.sample(ACTIONS, 3)
    for action in actions:
        assert tried(lambda action=action: action(mine)) == tried(lambda action=action: action(other))
    before = copies(other)
    if rng.random() < 0.5:
        for how, one in copies(mine).items():
            assert type(one) is family.module.Response, how
            same(one, before[how], family.module.Response, rng)
    same(mine, other, family.module.Response, rng)


async def read(mine: Any, other: Any, rng: random.Random) -> None:
    """What only an async response does."""
    names = ["aiter_bytes", "aiter_text", "aiter_lines", "aiter_raw"]
    for name in rng.sample(names, 2):
        assert await collected(getattr(mine, name)()) == await collected(getattr(other, name)())
    assert await mine.aread() == await other.aread()
    await mine.aclose()
    await other.aclose()


async def collected(parts: Any) -> Any:
    """All parts, or the error."""
    try:
        return [part async for part in parts]
    except Exception as error:
        return (type(error).__name__, str(error))


async def atried(awaitable: Any) -> Any:
    """As `tried`, with the result as it is."""
    try:
        return await awaitable
    except Exception as error:
        return (type(error).__name__, str(error))


def outcome(call: Any) -> Any:
    """The result as it is, or what was raised."""
    try:
        return call()
    except Exception as error:
        return (type(error).__name__, str(error))


def settled(ours: Any, theirs: Any) -> None:
    """What is left behind in the clients."""
    assert shown(ours.cookies) == shown(theirs.cookies)
    assert [shown(one)[1:4] for one in ours.sent] == [shown(one)[1:4] for one in theirs.sent]


@given(FAMILY, st.lists(ANSWERS, min_size=1, max_size=3), ENCODINGS, st.booleans(), st.randoms())
@SHORT
def test_responses(
    family: Family, answers: list[Answer], encoding: Any, follow: bool, rng: random.Random
) -> None:
    """A client's answers, redirects and cookies included, show the same at every look, and so do their copies."""
    arguments = {"base_url": "http://orders", "default_encoding": detected if encoding is str else encoding}
    clients = [make(answers, **arguments) for make in (family.ours, family.theirs)]
    mine, other = (outcome(lambda c=c: c.get("/v1/orders", follow_redirects=follow)) for c in clients)
    settled(*clients)
    if isinstance(other, tuple):
        assert mine == other
        return
    event("lazy" if "stream" not in vars(mine) else "not lazy")
    looked(mine, other, family, rng)
    for one, another in zip(mine.history, other.history, strict=True):
        looked(one, another, family, rng)


@given(FAMILY, st.lists(ANSWERS, min_size=1, max_size=3), ENCODINGS, st.booleans(), st.randoms())
@SHORT
def test_async_responses(
    family: Family, answers: list[Answer], encoding: Any, follow: bool, rng: random.Random
) -> None:
    """The same of the async clients."""

    async def run() -> None:
        arguments = {
            "base_url": "http://orders",
            "default_encoding": detected if encoding is str else encoding,
        }
        clients = [make(answers, True, **arguments) for make in (family.ours, family.theirs)]
        mine, other = [await atried(c.get("/v1/orders", follow_redirects=follow)) for c in clients]
        settled(*clients)
        if isinstance(other, tuple):
            assert mine == other
            return
        await read(mine, other, rng)
        looked(mine, other, family, rng)

    asyncio.run(run())


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_the_fast_way_is_what_is_compared(family: Family) -> None:
    """An ordinary call is lazy on both ends."""
    client = family.ours([Answer(content=b"{}")], base_url="http://orders")
    response = client.post("/v1/orders", json={"id": 42})
    assert type(response) is family.lazy.Response
    assert vars(response).keys() == {"status_code", "_request", "_content"}
    assert type(response.request) is family.lazy.Request
    assert vars(response.request).keys() == {"method", "extensions", "_content"}
