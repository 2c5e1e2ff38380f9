"""Policy in code: the keys and checks of a document."""

import pickle
from copy import deepcopy
from typing import Any

import pytest

from meshlib.errors import ConfigError
from meshlib.policy import Document, Policy, call_layer, document_of, merge, parse
from meshlib.resilience.backoff import Constant
from meshlib.resilience.retry import RetryOptions


def test_equals_a_document() -> None:
    """The same keys make the same document."""
    policy = Policy(
        timeout=2.0,
        retry={"attempts": 3},
        breaker=False,
        services={"orders": {"timeout": "1s"}, "carts": Policy(limit={"queue": 1})},
    )
    data = {
        "version": 1,
        "defaults": {"timeout": 2.0, "retry": {"attempts": 3}, "breaker": False},
        "services": {"orders": {"timeout": "1s"}, "carts": {"limit": {"queue": 1}}},
    }
    assert policy.document == parse(data, "x")


def test_takes_options_and_none() -> None:
    """Groups as Options, None as off, None as no deadline, and wait objects of any kind."""
    policy, _ = merge(Policy(retry=RetryOptions(attempts=7), breaker=None, timeout=None).document, "x")
    assert policy.retry == RetryOptions(attempts=7)
    assert (policy.breaker, policy.timeout) == (None, None)
    wait = Constant(1.0)
    policy, _ = merge(Policy(retry={"wait": wait}, services={"x": {"retry": {"attempts": 2}}}).document, "x")
    assert policy.retry is not None
    assert policy.retry.wait is wait


def test_every_error_at_once() -> None:
    """One ConfigError with a line per problem; unknown keys are answered like a document's."""
    with pytest.raises(ConfigError) as caught:
        Policy(retr={}, timeout=-1, services={"orders": {"retry": {"attempts": 0}}})
    places = [problem.split(": ")[1] for problem in caught.value.problems]
    assert places == ["retr", "timeout", "services.orders.retry.attempts"]
    assert "did you mean 'retry'?" in str(caught.value)
    assert "Policy: timeout: expected seconds" in str(caught.value)


def test_is_immutable() -> None:
    """Neither attributes nor the mappings it was built from change it."""
    retry = {"attempts": 2}
    policy = Policy(retry=retry)
    retry["attempts"] = 0
    assert policy == Policy(retry={"attempts": 2})
    for change in (lambda: setattr(policy, "_keys", {}), lambda: delattr(policy, "_keys")):
        with pytest.raises(AttributeError, match="immutable"):
            change()
    with pytest.raises(TypeError):
        hash(policy)


def test_equality_copy_and_repr() -> None:
    """Policies compare by their keys, survive pickle and copy, and show how to write them."""
    policy = Policy(timeout=2.0, services={"orders": {"breaker": False}})
    assert policy == pickle.loads(pickle.dumps(policy)) == deepcopy(policy)
    assert policy != Policy(timeout=3.0)
    assert policy != 5
    assert repr(policy) == "Policy(timeout=2.0, services={'orders': {'breaker': False}})"
    assert repr(Policy()) == "Policy()"


def test_what_a_mesh_takes() -> None:
    """A Policy, a mapping of its keys, or a whole document."""
    policy = Policy(timeout=2.0)
    assert document_of(policy) == document_of({"timeout": 2.0}) == policy.document
    assert document_of({"version": 1}) == Document()
    wrong: list[Any] = [5, "file:///x", {1: 2}]
    for value in wrong:
        with pytest.raises(ConfigError, match="expected a Policy"):
            document_of(value)


def test_layers_of_calls() -> None:
    """A call may set its own times and retries, not what it shares with others."""
    assert call_layer({"timeout": 1, "retry": None}) == {"timeout": 1, "retry": False}
    with pytest.raises(ConfigError, match="call: breaker: breaker belongs to the whole service"):
        call_layer({"breaker": False})
