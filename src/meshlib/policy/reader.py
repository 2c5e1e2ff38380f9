"""Reader: plain data to the tables of a document, collecting every problem on the way instead of stopping at
the first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from meshlib.core.expected import shown
from meshlib.core.options import Options, construct, missing, unknown
from meshlib.core.uri import service_key
from meshlib.errors import ConfigError
from meshlib.policy.locate import Path
from meshlib.policy.merge import balancer_problems, merged
from meshlib.policy.spec import (
    GROUPS,
    NOTHING,
    ROUTE_KEYS,
    Document,
    Layer,
    MeshOptions,
    RoutePolicy,
    ServicePolicy,
    ServiceTable,
)
from meshlib.routing.match import Match
from meshlib.routing.split import Share, Subset

__all__ = ["SERVICE_KEYS", "Reader"]

T = TypeVar("T")
O = TypeVar("O", bound=Options)  # noqa: E741

SERVICE_KEYS = frozenset(ServicePolicy.__struct_fields__)
_TABLES = ("subsets", "routes")
LAYER_KEYS = SERVICE_KEYS - {*_TABLES}
_TOP_KEYS = ("version", "mesh", "defaults", "services")
_ROUTE_ONLY = ("name", "match", "split")


class Reader:
    """Reads one document (or one Policy). `problems` are key paths and what is wrong there; read them when done."""

    def __init__(self) -> None:
        self.problems: list[tuple[Path, str]] = []

    def document(self, data: Any) -> Document:
        """The document in `data`. Only valid when there are no problems."""
        table = self._table(data, ())
        version = table.get("version")
        if version != 1 or isinstance(version, bool):
            got = "nothing" if version is None else shown(version)
            self._say(("version",), f"expected version = 1, got {got}")
            if version is not None:
                # Of another version's keys nothing is known: complaining about them would only hide the reason.
                return Document()
        for key in table:
            if key not in _TOP_KEYS and not key.startswith("x-"):
                self._say((key,), unknown(key, [*_TOP_KEYS, "x-*"]))
        mesh = self._options(MeshOptions, table.get("mesh", {}), ("mesh",))
        defaults = self.service(table.get("defaults", {}), ("defaults",))
        services = self.services(table.get("services", {}), ("services",))
        return self.finished(
            Document(mesh=mesh or MeshOptions(), defaults=defaults, services=services), ("defaults",)
        )

    def services(self, value: Any, path: Path) -> dict[str, ServiceTable]:
        """Tables by service key."""
        found = {}
        for key, table in self._table(value, path).items():
            try:
                name = service_key(key).key
            except ConfigError as error:
                self._say((*path, key), error.message)
                continue
            if name != key:
                self._say(
                    (*path, key), f"a service is named by the URL's host, in lower case: write {name!r}"
                )
            found[key] = self.service(table, (*path, key))
        return found

    def service(self, value: Any, path: Path) -> ServiceTable:
        """One table of defaults or of a service."""
        table = self._table(value, path)
        layer = self.layer(
            {key: table[key] for key in table if key not in ("subsets", "routes")}, path, LAYER_KEYS, _TABLES
        )
        subsets = self._subsets(table.get("subsets", {}), (*path, "subsets"))
        routes = self._routes(table.get("routes", []), (*path, "routes"))
        return ServiceTable(layer=layer, subsets=subsets, routes=routes)

    def layer(
        self, table: Mapping[str, Any], path: Path, allowed: Collection[str], beside: Collection[str] = ()
    ) -> Layer:
        """The policy keys of a table, checked one by one, kept as they are written. `beside` are keys read elsewhere."""
        kept: dict[str, Any] = {}
        for key, value in table.items():
            if key in allowed and key in GROUPS and value is None:
                self._say((*path, key), "expected a table, or false to turn it off, got null")
            elif key in allowed:
                kept[key] = value
            elif key in SERVICE_KEYS:
                self._say(
                    (*path, key), f"{key} belongs to the whole service: set it in the service's own table"
                )
            else:
                self._say((*path, key), unknown(key, [*allowed, *beside]))
        if isinstance(kept.get("tls"), str):
            kept["tls"] = {"mode": kept["tls"]}
        if "balancer" in kept:
            kept["balancer"] = self._balancer(kept["balancer"], (*path, "balancer"))
        self._note(path, construct(ServicePolicy, {key: kept[key] for key in kept if key != "balancer"})[1])
        return {key: _copied(value) for key, value in kept.items()}

    def finished(self, document: Document, defaults: Path) -> Document:
        """The last checks, of what only shows when layers meet. Skipped while single keys are wrong."""
        if self.problems:
            return document
        self._cross(document, "", defaults, document.defaults)
        for key, table in document.services.items():
            self._cross(document, key, ("services", key), table)
        return document

    def _cross(self, document: Document, service: str, path: Path, table: ServiceTable) -> None:
        subsets = {**document.defaults.subsets, **table.subsets}
        self._note(path, merged(document, service, None, NOTHING)[2])
        for index, route in enumerate(table.routes):
            here: Path = (*path, "routes", index)
            if route.layer:
                self._note(here, merged(document, service, route, NOTHING)[2])
            for share in route.split:
                if share.subset not in subsets:
                    self._say(
                        (*here, "split"), f"unknown subset {share.subset!r}: known are {_listed(subsets)}"
                    )

    def _balancer(self, value: Any, path: Path) -> dict[str, Any]:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            self._say(path, f"expected a balancer's name, or a table with it, got {shown(value)}")
            return {}
        table = self._table(value, path)
        name = table.get("name")
        if isinstance(name, str):
            self._note(path, balancer_problems(name, {key: table[key] for key in table if key != "name"}))
        elif "name" in table:
            self._say((*path, "name"), f"expected text, got {shown(name)}")
        return dict(table)

    def _subsets(self, value: Any, path: Path) -> dict[str, Subset]:
        found = {
            key: self._options(Subset, table, (*path, key)) for key, table in self._table(value, path).items()
        }
        return {key: subset for key, subset in found.items() if subset is not None}

    def _routes(self, value: Any, path: Path) -> tuple[RoutePolicy, ...]:
        routes = self._list(value, path, lambda one, at, index: self._route(one, at, index))
        names: set[str] = set()
        for index, route in enumerate(routes):
            if route.name in names:
                self._say((*path, index, "name"), f"another route is called {route.name!r} already")
            names.add(route.name)
        return tuple(routes)

    def _route(self, value: Any, path: Path, index: int) -> RoutePolicy:
        table = self._table(value, path)
        name = table.get("name", f"route-{index + 1}")
        if not isinstance(name, str) or not name:
            self._say((*path, "name"), f"expected text, got {shown(name)}")
            name = ""
        match = self._options(Match, table.get("match", {}), (*path, "match"))
        split: tuple[Share, ...] = ()
        if "split" in table:
            split = self._split(table["split"], (*path, "split"))
        layer = self.layer(
            {key: table[key] for key in table if key not in _ROUTE_ONLY}, path, ROUTE_KEYS, _ROUTE_ONLY
        )
        return RoutePolicy(name=name, match=match or Match(), split=split, layer=layer)

    def _split(self, value: Any, path: Path) -> tuple[Share, ...]:
        before = len(self.problems)
        found = self._list(value, path, lambda one, at, _: self._options(Share, one, at))
        shares = tuple(share for share in found if share is not None)
        if len(self.problems) == before and not any(share.weight for share in shares):
            self._say(path, "needs one branch at least with a weight above 0")
        return shares

    def _options(self, kind: type[O], value: Any, path: Path) -> O | None:
        table = self._table(value, path)
        fields, found = construct(kind, table)
        found += missing(kind, table)
        self._note(path, found)
        return None if found else kind(**fields)

    def _table(self, value: Any, path: Path) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self._say(path, f"expected a table, got {shown(value)}")
            return NOTHING
        for key in value:
            if not isinstance(key, str):
                self._say(path, f"expected keys that are text, got {shown(key)}")
        return {key: one for key, one in value.items() if isinstance(key, str)}

    def _list(self, value: Any, path: Path, read: Callable[[Any, Path, int], T]) -> list[T]:
        if not isinstance(value, list | tuple):
            self._say(path, f"expected a list of tables, got {shown(value)}")
            return []
        return [read(one, (*path, index), index) for index, one in enumerate(value)]

    def _say(self, path: Path, text: str) -> None:
        self.problems.append((path, text))

    def _note(self, path: Path, problems: Iterable[tuple[Path, str]]) -> None:
        self.problems += [((*path, *inner), text) for inner, text in problems]


def _copied(value: Any) -> Any:
    """Tables and lists anew, so that nobody changes a document from outside. Checked before, so it is not deep."""
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
