"""Equal settings share connections."""

from __future__ import annotations

import ssl
from typing import Any

from meshlib.transport.binding import Binding
from meshlib.transport.settings import WireSettings


def test_keys_tell_what_may_be_shared(http: Any) -> None:
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
        WireSettings(limits=http.Limits(max_connections=1)),
    ]
    assert len({settings.key for settings in different}) == len(different)


def test_the_users_context_is_used(binding: Binding) -> None:
    """As the families do."""
    context = ssl.create_default_context()
    assert WireSettings(verify=context).context(binding) is context


def test_each_family_trusts_in_its_own_way(binding: Binding) -> None:
    """The default context is what the family makes."""
    made = WireSettings(trust_env=False).context(binding)
    theirs = binding.module.create_ssl_context(trust_env=False)
    assert made.cert_store_stats() == theirs.cert_store_stats()
    assert made.verify_mode == theirs.verify_mode == ssl.CERT_REQUIRED
