"""What README and docs say exists, exists: links, files, modules, and the names imported from them."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.test_snippets import PAGES, ROOT, name_of, programs

SRC = ROOT / "src" / "meshlib"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:[\w<>-]+/)+[\w<>.-]*)`")
MODULE = re.compile(r"`(meshlib(?:\.(?!toml`)[a-z_]\w*)+)`")
# The folders in front of `name/file.py` that a page may leave out.
HOMES = (ROOT, SRC)
OURS = {path.name for path in SRC.iterdir() if path.is_dir()} | {
    "src",
    "docs",
    "tests",
    "examples",
    "benchmarks",
}
WRITTEN = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]


def without_fences(text: str) -> str:
    """The prose of a page."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names under which its headings can be linked to."""
    titles = re.findall(r"^#+ (.+)$", without_fences(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(without_fences(page.read_text())):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(link)
    return found


def missing_files(text: str) -> list[str]:
    found = []
    for path in PATH.findall(text):
        if path.partition("/")[0] in OURS and not any((home / path).exists() for home in HOMES):
            parent = path.rpartition("/")[0]
            placeholder = ("<" in path or "NNN" in path) and any((home / parent).is_dir() for home in HOMES)
            if not placeholder:
                found.append(path)
    return found


def missing_modules(text: str) -> list[str]:
    """Dotted names that are neither a module nor an attribute of one; entry-point groups are names of their own."""
    groups = {f"meshlib.{name}" for name in ("balancers", "resolvers", "providers", "listeners")}
    found = []
    for name in MODULE.findall(without_fences(text)):
        parts = name.split(".")
        home = SRC.joinpath(*parts[1:])
        module = home.is_dir() or home.with_suffix(".py").exists()
        attribute = hasattr(_imported(".".join(parts[:-1])), parts[-1])
        instrument = any(f'"{name}"' in path.read_text() for path in (SRC / "telemetry").glob("*.py"))
        if not (module or attribute or instrument or name in groups):
            found.append(name)
    return found


def _imported(name: str) -> object:
    try:
        return import_module(name)
    except ImportError:
        return None


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link, and every heading that one names."""
    assert broken_links(page) == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_files_and_modules_exist(page: Path) -> None:
    """Every path of ours in backticks, with or without `src/meshlib/`, and every dotted name."""
    text = page.read_text()
    assert missing_files(text) == []
    assert missing_modules(text) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_imported_names_exist(page: Path) -> None:
    """Whatever a snippet imports from meshlib can be imported, also in snippets that are not run."""
    missing = []
    for program, _ in programs(page.read_text()):
        for node in ast.walk(compile(program, name_of(page), "exec", FLAGS, dont_inherit=True)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "meshlib":
                home = import_module(str(node.module))
                missing += [
                    f"{node.module}.{name.name}" for name in node.names if not hasattr(home, name.name)
                ]
    assert missing == []


FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def test_architecture_names_every_package() -> None:
    """A reader finds every first-level package and module of the source on the page that explains the whole."""
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    names = {path.name for path in SRC.iterdir() if (path.is_dir() and any(path.glob("*.py")))}
    assert [name for name in sorted(names) if not re.search(rf"`{name}[`/]", text)] == []


def test_design_notes_are_listed_and_short() -> None:
    """docs/index.md names each note; a note has its four parts."""
    index = (ROOT / "docs" / "index.md").read_text()
    for note in sorted((ROOT / "docs" / "design").glob("*.md")):
        assert f"(design/{note.name})" in index
        titles = re.findall(r"^## (.+)$", note.read_text(), re.MULTILINE)
        assert titles[:2] == ["Question", "Prior art"], note.name
        assert {"Decision", "Cost"} <= {title.partition(" ")[0].rstrip(",") for title in titles}, note.name


def test_the_checks_see() -> None:
    """The checkers themselves."""
    assert missing_files("`engine/nothing.py` and `src/meshlib/core/nothing.py`") == [
        "engine/nothing.py",
        "src/meshlib/core/nothing.py",
    ]
    assert (
        missing_files("`engine/call.py` `src/meshlib/core/wait.py` `balancing/<name>.py` `dns://x/y`") == []
    )
    assert missing_modules("`meshlib.core.nothing` `meshlib.nothing`") == [
        "meshlib.core.nothing",
        "meshlib.nothing",
    ]
    assert (
        missing_modules("`meshlib.testing` `meshlib.Client` `meshlib.balancers` `meshlib.engine.call`") == []
    )
