"""From what a user writes (a file, a Policy, a mapping, URIs) to a Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from meshlib.core.hook import AsyncHook, Hook
from meshlib.core.listener import Listener
from meshlib.core.uri import parse
from meshlib.errors import ConfigError
from meshlib.policy import Document, Policy, PolicySnapshot, document_of
from meshlib.providers.file import snapshot_of
from meshlib.runtime.runtime import Runtime
from meshlib.world.clock import monotonic

__all__ = ["build", "load_file"]


def build(
    *,
    config: str | Path | None = None,
    policy: Policy | Mapping[str, Any] | str | None = None,
    discovery: str | None = None,
    policy_server: str | None = None,
    listeners: Iterable[Listener] = (),
    hooks: Iterable[Hook | AsyncHook] = (),
    telemetry: bool = True,
) -> Runtime:
    """A runtime from a document file and what is given beside it, which wins. ConfigError names every problem at once."""
    from meshlib.runtime.listening import listening

    snapshot = _snapshot(config, policy)
    if policy_server is not None or snapshot.document.mesh.policy_server is not None:
        raise ConfigError(
            "policy servers are not supported by this version: give the policy as a file, a mapping or a Policy"
        )
    if discovery is not None:
        parse(discovery)
    runtime = Runtime(snapshot, discovery=discovery)
    given: tuple[object, ...] = tuple(hooks)
    runtime.hooks = tuple(hook for hook in given if isinstance(hook, Hook))
    runtime.async_hooks = tuple(hook for hook in given if isinstance(hook, AsyncHook))
    strange = [hook for hook in given if not isinstance(hook, Hook | AsyncHook)]
    if strange:
        raise ConfigError(f"hooks takes Hook and AsyncHook objects, got {type(strange[0]).__name__}")
    runtime.listener = listening(runtime, listeners, telemetry)
    return runtime


def _snapshot(config: str | Path | None, policy: Policy | Mapping[str, Any] | str | None) -> PolicySnapshot:
    if config is not None and policy is not None:
        raise ConfigError("a configuration file and a policy say the same thing twice: give one of them")
    if config is not None:
        return load_file(config)
    if isinstance(policy, str):
        uri = parse(policy)
        if uri.scheme != "file":
            raise ConfigError(f"{uri.text}: policy is read from file:// in this version")
        return load_file(uri.path)
    if policy is None:
        return PolicySnapshot(Document(), "0", "defaults", monotonic())
    return PolicySnapshot(document_of(policy), "1", "code", monotonic())


def load_file(path: str | Path) -> PolicySnapshot:
    """A document from a TOML, JSON or YAML file. ConfigError names the file, and in it every problem with its line."""
    where = str(Path(path).absolute())
    try:
        content = Path(where).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return snapshot_of(where, content, monotonic())
