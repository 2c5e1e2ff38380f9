"""request > route > cluster > resilience > balancing > transport > feedback

meshlib is a service mesh without the sidecar. The names below are the public face; each is imported at its
first use, so that `import meshlib` costs next to nothing in a process that makes no call.
"""

from os import listdir

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AttemptsExhaustedError",
    "CircuitOpenError",
    "Client",
    "ConfigError",
    "DeadlineExceededError",
    "DiscoveryError",
    "LimitExceededError",
    "Mesh",
    "MeshError",
    "NoEndpointError",
    "Policy",
    "RateLimitedError",
    "__version__",
    "circuit_breaker",
    "deadline",
    "retry",
    "timeout",
]

TYPE_CHECKING = False  # checkers know the name; `typing` itself would be the dearest import of this file

if TYPE_CHECKING:
    from meshlib.decorators import circuit_breaker, retry, timeout
    from meshlib.errors import (
        AttemptsExhaustedError,
        CircuitOpenError,
        ConfigError,
        DeadlineExceededError,
        DiscoveryError,
        LimitExceededError,
        MeshError,
        NoEndpointError,
        RateLimitedError,
    )
    from meshlib.mesh import Mesh
    from meshlib.policy import Policy
    from meshlib.runtime import deadline
    from meshlib.transport.client import AsyncClient, Client

_HOME = {
    "AsyncClient": "meshlib.transport.client",
    "AttemptsExhaustedError": "meshlib.errors",
    "CircuitOpenError": "meshlib.errors",
    "Client": "meshlib.transport.client",
    "ConfigError": "meshlib.errors",
    "DeadlineExceededError": "meshlib.errors",
    "DiscoveryError": "meshlib.errors",
    "LimitExceededError": "meshlib.errors",
    "Mesh": "meshlib.mesh",
    "MeshError": "meshlib.errors",
    "NoEndpointError": "meshlib.errors",
    "Policy": "meshlib.policy",
    "RateLimitedError": "meshlib.errors",
    "circuit_breaker": "meshlib.decorators",
    "deadline": "meshlib.runtime",
    "retry": "meshlib.decorators",
    "timeout": "meshlib.decorators",
}


def _refuse_mixed_installation(folder: str) -> None:
    """The PyPI distribution `meshlib` (3D geometry) unpacks into this same folder; half of each helps nobody."""
    try:
        names = listdir(folder)
    except OSError:  # imported from a zip archive, where nothing can have been unpacked over us
        return
    if any(name.startswith("mrmeshpy") for name in names):
        raise ImportError(
            "two distributions own the import name 'meshlib' in this environment: 'meshlib-client' (service mesh) "
            "and 'meshlib' (3D geometry, file mrmeshpy*). Keep one of them: pip uninstall meshlib meshlib-client, "
            "then install the one you want."
        )


_refuse_mixed_installation(__path__[0])

if not TYPE_CHECKING:  # else a checker would accept any attribute of this module

    def __getattr__(name):
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
