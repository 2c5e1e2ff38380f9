"""Fault."""

import pytest

from meshlib.testing import Fault


def test_headers_as_mapping_or_pairs() -> None:
    """Both make the same value."""
    assert Fault.ok(headers={"A": "1"}) == Fault.ok(headers=[("A", "1")])


@pytest.mark.parametrize(("value", "text"), [(2, "2"), (0.5, "0.5"), ("soon", "soon")])
def test_retry_after(value: float | str, text: str) -> None:
    """Seconds are written plainly, text as it is."""
    assert Fault.retry_after(value, 429) == Fault(
        kind="ok", status=429, body=b"later", headers=(("Retry-After", text),)
    )


def test_drip_needs_a_byte() -> None:
    """A drip of nothing would never end."""
    with pytest.raises(ValueError, match="at least one byte"):
        Fault.drip_body(0.1, 0)


def test_listener_faults() -> None:
    """Two kinds answer no request."""
    assert Fault.refuse().of_listener
    assert Fault.blackhole().of_listener
    assert not Fault.hang().of_listener
