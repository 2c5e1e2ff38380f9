"""Policy: how calls are to be treated, written in code. The same keys and the same checks as a document's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from meshlib.core.options import Options
from meshlib.errors import ConfigError
from meshlib.policy.locate import Path
from meshlib.policy.parse import parse, refuse
from meshlib.policy.reader import SERVICE_KEYS, Reader
from meshlib.policy.spec import CALL_KEYS, GROUPS, Document, Layer

__all__ = ["Policy", "call_layer", "document_of"]

Group = Mapping[str, Any] | Options | bool | None
_UNSET: Any = msgspec.UNSET
_SOURCE = "Policy"


class Policy:
    """The policy of all services of a mesh (the `[defaults]` of a document), and in `services` what differs for some.

        Policy(timeout=2.0, retry={"attempts": 3}, services={"orders": {"breaker": False}})

    Times are seconds or text such as "250ms". A group is a mapping of its keys, its Options, `True` (its defaults) or
    `False` or None (off); `tls` may be its mode alone. ConfigError lists every problem at once. Immutable; equal when all
    keys are.
    """

    __slots__ = ("_document", "_keys", "_services")

    def __init__(
        self,
        *,
        timeout: float | str | None = _UNSET,
        connect_timeout: float | str = _UNSET,
        attempt_timeout: float | str = _UNSET,
        stream_timeout: float | str | None = _UNSET,
        raise_on_exhausted: bool = _UNSET,
        discovery: str | None = _UNSET,
        wire: str = _UNSET,
        balancer: str | Mapping[str, Any] = _UNSET,
        retry: Group = _UNSET,
        breaker: Group = _UNSET,
        limit: Group = _UNSET,
        ejection: Group = _UNSET,
        hedge: Group = _UNSET,
        connections: Group = _UNSET,
        tls: Group | str = _UNSET,
        subsets: Mapping[str, Mapping[str, Any]] = _UNSET,
        routes: Sequence[Mapping[str, Any]] = _UNSET,
        services: Mapping[str, Mapping[str, Any] | Policy] | None = None,
        **unknown: Any,
    ) -> None:
        given = {key: value for key, value in locals().items() if key in SERVICE_KEYS and value is not _UNSET}
        self._keys = _plain({**given, **unknown})
        self._services = {key: _plain(table) for key, table in (services or {}).items()}
        reader = Reader()
        defaults = reader.service(self._keys, ())
        document = Document(defaults=defaults, services=reader.services(self._services, ("services",)))
        self._document = reader.finished(document, ())
        refuse(reader.problems, _SOURCE)

    @property
    def document(self) -> Document:
        """The same as a document."""
        return self._document

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_document"):
            raise AttributeError("a Policy is immutable: build a new one")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Policy is immutable: build a new one")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self._document == other._document

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, ({**self._keys, "services": self._services},)

    def __repr__(self) -> str:
        shown = dict(self._keys, **({"services": self._services} if self._services else {}))
        return f"Policy({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


def _rebuilt(keys: dict[str, Any]) -> Policy:
    return Policy(**keys)


def document_of(value: object, source: str = "policy") -> Document:
    """What `Mesh(policy=...)` takes: a Policy, a mapping of a Policy's keys, or a whole document (it has
    `version`)."""
    if isinstance(value, Policy):
        return value.document
    if isinstance(value, Mapping) and "version" in value:
        return parse(value, source)
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(
            f"{source}: expected a Policy, a mapping of its keys, or a document with version = 1"
        )
    return Policy(**value).document


def call_layer(keys: Mapping[str, Any]) -> Layer:
    """The policy keys of one call, checked, for `merge`. ConfigError names every problem."""
    reader = Reader()
    layer = reader.layer(_plain(keys), (), CALL_KEYS)
    refuse(reader.problems, "call")
    return layer


def _plain(value: Any, path: Path = ()) -> Any:
    """Options as mappings, a Policy as its table, None as off where it is a group: what a document would hold."""
    if isinstance(value, Policy):
        return value._keys
    if isinstance(value, Options):
        value = msgspec.structs.asdict(value)
    if not isinstance(value, Mapping):
        return value
    return {
        key: False if one is None and key in GROUPS and len(path) == 0 else _plain(one, (*path, str(key)))
        for key, one in value.items()
    }
