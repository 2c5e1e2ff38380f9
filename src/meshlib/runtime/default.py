"""Which runtime a client runs on: a mesh's, a private one, or the process's default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from meshlib.core.uri import service_key
from meshlib.errors import ConfigError
from meshlib.runtime.build import build
from meshlib.runtime.runtime import Runtime
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.policy import Policy

__all__ = ["borrowed", "default"]

_default: Runtime | None = None
_lock = Lock()


class _Guard:
    """Gives the child of a fork a new lock."""

    def after_in_child(self) -> None:
        global _lock
        _lock = Lock()


_guard = _Guard()
fork.watch(_guard)


def default() -> Runtime:
    """The process's default runtime, built at first use from MESHLIB_CONFIG, MESHLIB_DISCOVERY and MESHLIB_POLICY_SERVER."""
    global _default
    with _lock:
        if _default is None or _default.closed:
            _default = build(
                config=os.environ.get("MESHLIB_CONFIG") or None,
                discovery=os.environ.get("MESHLIB_DISCOVERY") or None,
                policy_server=os.environ.get("MESHLIB_POLICY_SERVER") or None,
            )
        return _default


def borrowed(
    mesh: Any,
    discovery: str | None,
    policy: Policy | Mapping[str, Any] | str | None,
    policy_server: str | None,
    target: str,
) -> tuple[Runtime, bool]:
    """The runtime for a client, and whether the client owns it and closes it."""
    if mesh is not None:
        runtime = getattr(mesh, "runtime", None)
        if not isinstance(runtime, Runtime):
            raise ConfigError(f"mesh= takes a meshlib.Mesh, got {type(mesh).__name__}")
        if policy is not None or policy_server is not None:
            raise ConfigError(
                "policy and policy_server belong to the mesh: give them to Mesh(...), not beside mesh="
            )
        return runtime, False
    if discovery is None and policy is None and policy_server is None:
        return default(), False
    # With a target the discovery is the target's alone; without one it is the source of every service.
    general = discovery if not target else None
    if target:
        service_key(target)
    return build(policy=policy, discovery=general, policy_server=policy_server), True
