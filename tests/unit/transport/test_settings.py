"""Equal settings share connections."""

from __future__ import annotations

import ssl

import httpx

from meshlib.transport.settings import WireSettings


def test_keys_tell_what_may_be_shared() -> None:
    """Everything that changes how connections are made is in the key; a context is only equal to itself."""
    context = ssl.create_default_context()
    assert WireSettings().key == WireSettings().key
    assert WireSettings(verify=context).key == WireSettings(verify=context).key
    different = [
        WireSettings(),
        WireSettings(verify=False),
        WireSettings(verify=context),
        WireSettings(verify=ssl.create_default_context()),
        WireSettings(trust_env=False),
        WireSettings(http2=True),
        WireSettings(limits=httpx.Limits(max_connections=1)),
    ]
    assert len({settings.key for settings in different}) == len(different)


def test_the_users_context_is_used() -> None:
    """As httpx does."""
    context = ssl.create_default_context()
    assert WireSettings(verify=context).context() is context
