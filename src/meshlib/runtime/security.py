"""Identities: the key material of one runtime, by the files it comes from, each followed while something uses it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from threading import RLock
from typing import TYPE_CHECKING, Any

from meshlib.core.uri import URI
from meshlib.errors import ConfigError
from meshlib.security.credentials import Credentials, Where
from meshlib.security.identity import FileIdentity, read_now
from meshlib.security.rotate import Rotation
from meshlib.security.secured import ServiceSecurity
from meshlib.security.server import Clients, Configure, ServerContext
from meshlib.security.verify import Accepted
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.policy.spec import Document
    from meshlib.policy.tls import TlsOptions
    from meshlib.runtime.runtime import Runtime
    from meshlib.world.background import Handle

__all__ = ["Identities", "in_force"]


def in_force(
    document: Document, key: str, source: URI | None, options: TlsOptions | None
) -> TlsOptions | None:
    """The `tls` group that holds for a service, None without one.

    A host that is passed through by name belongs to somebody else: what `[defaults]` say of our own services (our authorities,
    our certificate) holds for it only when its own table has a `tls`.
    """
    if options is None or options.mode == "off":
        return None
    if source is None:
        table = document.services.get(key)
        if table is None or "tls" not in table.layer:
            return None
    return options


class Identities:
    """Rotations by files. Thread-safe; the first use of a set of files reads them, which may raise ConfigError."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = RLock()
        self._rotations: dict[Where, Rotation] = {}
        self._handles: dict[Where, Handle] = {}
        self._servers: dict[Hashable, Any] = {}
        self._pinned: set[Where] = set()
        fork.watch(self)

    def after_in_child(self) -> None:
        """Contexts go on to work here; what follows the files is the parent's, and is started again at the next use."""
        fork.abandon(self._lock, self._handles)
        self._lock = RLock()
        self._handles = {}

    def service(self, target: str, options: TlsOptions, old: ServiceSecurity | None) -> ServiceSecurity:
        """The security of a service under these options: the `old` one when nothing has changed."""
        rotation = self._rotation(Where(options.ca, options.cert, options.key))
        if old is not None and old.options == options and old.rotation is rotation:
            return old
        made = ServiceSecurity(target, options, rotation)
        made.warm()
        return made

    def server(
        self, options: TlsOptions, clients: Clients, alpn: tuple[str, ...], configure: Configure | None
    ) -> Any:
        """The server's context; equal arguments give the same one."""
        where = self._pin(options)
        accepted = Accepted(options.spiffe_ids, options.sans) or None
        key = (where, clients, alpn, accepted, configure)
        return self._server(key, lambda: ServerContext(self._held(where), clients, alpn, accepted, configure))

    def grpc_server(self, options: TlsOptions, clients: Clients) -> Any:
        """The same for gRPC."""
        from meshlib.security.server_grpc import server_credentials

        where = self._pin(options)
        return self._server((where, clients), lambda: server_credentials(self._held(where), clients))

    def _pin(self, options: TlsOptions) -> Where:
        where = Where(options.ca, options.cert, options.key)
        self._rotation(where)
        self._pinned.add(where)
        self.follow(where)
        return where

    def _server(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            found = self._servers.get(key)
            if found is None:
                found = self._servers[key] = make()
            return found

    def _held(self, where: Where) -> Callable[[], Credentials]:
        """The credentials in force, and in a forked server's worker the files are followed from its first connection on."""

        def held() -> Credentials:
            if where not in self._handles:
                self.follow(where)
            return self._rotations[where].credentials

        return held

    def _rotation(self, where: Where) -> Rotation:
        found = self._rotations.get(where)
        if found is None:
            world = self._runtime.world  # takes the runtime's lock, so not under ours
            with self._lock:
                found = self._rotations.get(where)
                if found is None:
                    first = read_now(where, world.files.load)
                    found = self._rotations[where] = Rotation(first, where, world.wall, self._told)
        return found

    def _told(self, facts: Mapping[str, Any]) -> None:
        self._runtime.tell("identity", "", facts)

    def follow(self, where: Where) -> None:
        """Look at the files from now on, if nobody does yet. Nothing to do without files, or when the mesh is closed."""
        if where in self._handles or not any(where) or self._runtime.closed:
            return
        world = self._runtime.world
        with self._lock:
            rotation = self._rotations.get(where)
            if where in self._handles or rotation is None:
                return
            scope = world.scope("tls")
            source = FileIdentity(where, scope)
            name = f"meshlib-tls-{rotation.name}"
            self._handles[where] = world.background.spawn(
                lambda: rotation.follow(source.watch, scope), name=name
            )

    def keep(self, used: Iterable[ServiceSecurity]) -> None:
        """Stop to follow and forget the files that neither `used` nor a server needs any more."""
        with self._lock:
            wanted = {one.rotation.where for one in used} | self._pinned
            for where in [where for where in self._rotations if where not in wanted]:
                del self._rotations[where]
                handle = self._handles.pop(where, None)
                if handle is not None:
                    handle.cancel()

    def state(self) -> list[dict[str, Any]]:
        """Each identity: who we are by it, until when, and what is wrong. No secrets."""
        return [{**one.facts(), "error": one.problem} for one in list(self._rotations.values())]

    def stop(self) -> None:
        """Stop to follow; the credentials in force stay so."""
        with self._lock:
            for handle in self._handles.values():
                handle.cancel()


def server_options(
    document: Document, ca: str | None, cert: str | None, key: str | None, **accepted: Any
) -> TlsOptions:
    """The files of a server: those given here, else those of `[defaults] tls`, which say who this process is."""
    from meshlib.policy.merge import merge
    from meshlib.policy.tls import TlsOptions

    ours = merge(document, "")[0].tls or TlsOptions()
    if cert is not None:
        # A certificate that is given here comes with its own key, or has it inside.
        options = TlsOptions(ca=ca or ours.ca, cert=cert, key=key, **accepted)
    else:
        options = TlsOptions(ca=ca or ours.ca, cert=ours.cert, key=key or ours.key, **accepted)
    if options.cert is None:
        raise ConfigError(
            "a server needs a certificate: set cert and key in [defaults] tls, or give them here"
        )
    return options
