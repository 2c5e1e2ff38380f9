"""The package: what is imported is the function, in whichever order."""

import importlib
import pkgutil
from types import FunctionType

import meshlib
from meshlib import decorators


def test_no_submodule_shadows_a_function():
    """Importing every module of the package leaves the functions in place."""
    for module in pkgutil.iter_modules(decorators.__path__):
        importlib.import_module(f"meshlib.decorators.{module.name}")
    for name in ("circuit_breaker", "retry", "timeout"):
        assert isinstance(getattr(decorators, name), FunctionType)
        assert getattr(meshlib, name) is getattr(decorators, name)
