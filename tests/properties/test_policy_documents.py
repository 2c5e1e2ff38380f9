"""Documents: garbage in any format is a ConfigError, and what parses always merges."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshlib.errors import ConfigError
from meshlib.policy import load, merge, parse
from meshlib.policy.locate import lines

WORDS = st.sampled_from(
    """version mesh defaults services orders retry breaker limit hedge tls balancer subsets routes match split name subset
    weight attempts on wait budget base ratio timeout labels path path_prefix headers methods discovery x-a 503 p2c auto
    dns:// 250ms /v1 GET""".split()  # noqa: SIM905
)
NUMBERS = st.integers(-2, 5) | st.floats() | st.just(1) | st.just(10**400)
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
LAYERS = st.dictionaries(
    st.sampled_from(["timeout", "retry", "breaker", "hedge", "limit", "balancer", "connections", "tls"]),
    st.sampled_from(
        [
            True,
            False,
            {},
            1,
            {"attempts": 2},
            {"wait": {"base": 1}},
            {"budget": False},
            "p2c",
            {"delay": 1},
            {"queue": 2},
        ]
    ),
    max_size=4,
)


def refusal(read: Callable[[], object]) -> tuple[str, ...]:
    """The problems of the ConfigError that reading ends with; none when it does not."""
    try:
        read()
    except ConfigError as error:
        return error.problems or ("",)
    return ()


@settings(max_examples=200)
@given(VALUES, VALUES)
def test_any_data_is_answered(defaults: Any, orders: Any) -> None:
    """Any data is a document or a ConfigError whose problems all name the source."""
    problems = refusal(
        lambda: parse({"version": 1, "defaults": defaults, "services": {"orders": orders}}, "x")
    )
    assert all(problem.startswith("x: ") for problem in problems)


@given(
    st.binary(max_size=60)
    | st.text(st.sampled_from("{}[]=:,\"'#-& \n*!|>a1.\\"), max_size=60).map(str.encode)
)
def test_any_text_is_answered(text: bytes) -> None:
    """Any bytes in any format are a document or a ConfigError; looking for lines never raises."""
    for format in ("toml", "json", "yaml"):
        problems = refusal(partial(load, text, format, "x"))
        assert all(problem.startswith("x:") for problem in problems)
        lines(text.decode(errors="replace"), format)(("a", 0))  # type: ignore[arg-type]


@given(VALUES)
def test_lines_are_those_of_the_parser(value: Any) -> None:
    """In JSON with one item a line, every key path is found on its own line."""
    data = {"a": value, "b": [value]}
    text = json.dumps(data, indent=1)
    rows = text.splitlines()
    for path in (("a",), ("b",), ("b", 0)):
        number = lines(text, "json")(path)
        assert number is not None
        if isinstance(path[-1], str):
            assert rows[number - 1].startswith(f' "{path[-1]}":')


@settings(max_examples=200)
@given(LAYERS, LAYERS, LAYERS)
def test_what_parses_merges(defaults: dict[str, Any], service: dict[str, Any], route: dict[str, Any]) -> None:
    """A document that was accepted gives a policy for every service and route."""
    data = {"version": 1, "defaults": defaults, "services": {"s": {**service, "routes": [route]}}}
    try:
        document = parse(data, "x")
    except ConfigError:
        return
    for one in (None, *document.services["s"].routes):
        policy, origins = merge(document, "s", one)
        layer = {**defaults, **service, **(one.layer if one is not None else {})}
        assert all((getattr(policy, key) is None) for key, value in layer.items() if value is False)
        assert {path.partition(".")[0] for path in origins} <= set(layer)
