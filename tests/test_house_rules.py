"""The house rules that a machine can read (CONTRIBUTING.md).

Each rule is a checker: source text in, violations out. It is run over the tree, and over a snippet that breaks it,
so that a checker which has stopped seeing anything is noticed. Which package may import which is import-linter's
business; the lists of sans-IO packages and of what they may not touch are read from its configuration.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "meshlib"
UNIT = ROOT / "tests" / "unit"
STAGES = "request > route > cluster > resilience > balancing > transport > feedback"

FILE_LINES, FILE_LINES_WITH_REASON, FUNCTION_LINES = 400, 600, 40
LONG_FILES: dict[str, str] = {  # path below src/meshlib: why it is longer than 400 lines
}

Checker = Callable[[str], Iterator[str]]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def contract(kind: str) -> SimpleNamespace:
    """The import-linter contract of that type."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [found] = [one for one in configuration["tool"]["importlinter"]["contracts"] if one["type"] == kind]
    return SimpleNamespace(**found)


SANS_IO = contract("forbidden")
SANS_IO_FOLDERS = {name.partition(".")[2] for name in SANS_IO.source_modules}


@cache
def sources() -> dict[str, str]:
    """Path below src/meshlib to text."""
    return {path.relative_to(SRC).as_posix(): path.read_text() for path in sorted(SRC.rglob("*.py"))}


def violations(checker: Checker, within: Callable[[str], bool] = lambda path: True) -> list[str]:
    return [f"{path}: {found}" for path, text in sources().items() if within(path) for found in checker(text)]


def nodes(text: str, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


# Size.


def file_length(path: str, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > FILE_LINES_WITH_REASON:
        yield f"{path}: {lines} lines, at most {FILE_LINES_WITH_REASON}"
    elif lines > FILE_LINES and path not in LONG_FILES:
        yield f"{path}: {lines} lines need a reason in LONG_FILES"


def test_files_are_short() -> None:
    """400 lines need a reason, 600 are too many; a reason that is no longer needed goes."""
    assert [found for path, text in sources().items() for found in file_length(path, text)] == []
    assert [path for path in LONG_FILES if sources().get(path, "").count("\n") <= FILE_LINES] == []


def long_functions(text: str) -> Iterator[str]:
    for node in nodes(text, ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, FunctionNode)
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
        if lines > FUNCTION_LINES:
            yield f"{node.name} has {lines} lines, at most {FUNCTION_LINES}"


def test_functions_are_short() -> None:
    """The body of a function, without its docstring, fits on a screen."""
    assert violations(long_functions) == []


# Words.


def stage_line(text: str) -> Iterator[str]:
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    if first.replace("[", "").replace("]", "") != STAGES or len(re.findall(r"\[\w+\]", first)) != 1:
        yield f"the docstring opens with {first!r}, not with the stages, one of them in [brackets]"


def test_packages_say_their_stage() -> None:
    """Every package opens with the path of a request, its own stage marked; the root shows the whole path."""
    assert violations(stage_line, lambda path: path.endswith("/__init__.py")) == []
    assert ast.get_docstring(ast.parse(sources()["__init__.py"])).partition("\n")[0] == STAGES


def unfinished(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if word := re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"line {number}: {word[0]}"


def test_nothing_is_left_to_do() -> None:
    """What is not done yet is an issue, not a comment."""
    assert violations(unfinished) == []


# Exceptions.


def caught(handler: ast.ExceptHandler) -> set[str]:
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(name) for name in names if name is not None}


def hands_over(handler: ast.ExceptHandler) -> bool:
    """Raises, or gives the exception to somebody who will, such as a future."""
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    arguments = [argument for node in inside if isinstance(node, ast.Call) for argument in node.args]
    given = any(isinstance(argument, ast.Name) and argument.id == handler.name for argument in arguments)
    return given or any(isinstance(node, ast.Raise) for node in inside)


def does_nothing(statement: ast.stmt) -> bool:
    is_ellipsis = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_ellipsis or isinstance(statement, ast.Pass | ast.Continue)


def swallowed(text: str) -> Iterator[str]:
    for handler in nodes(text, ast.ExceptHandler):
        assert isinstance(handler, ast.ExceptHandler)
        names = caught(handler)
        if handler.type is None:
            yield f"line {handler.lineno}: bare except"
        elif "BaseException" in names and not hands_over(handler):
            yield f"line {handler.lineno}: BaseException swallowed"
        elif "Exception" in names and all(map(does_nothing, handler.body)):
            yield f"line {handler.lineno}: Exception passed over"
    for call in nodes(text, ast.Call):
        assert isinstance(call, ast.Call)
        broad = {ast.unparse(argument) for argument in call.args} & {"Exception", "BaseException"}
        if broad and ast.unparse(call.func).endswith("suppress"):
            yield f"line {call.lineno}: suppress({', '.join(broad)})"


def test_no_exception_is_swallowed() -> None:
    """No bare except, no Exception passed over, no BaseException kept."""
    assert violations(swallowed) == []


# Sans-IO, finalisers.

IO_CALLS = {"open", "print", "input", "datetime.now", "datetime.today", "datetime.utcnow", "date.today"}


def io_use(text: str) -> Iterator[str]:
    """What import-linter cannot see: builtins, and uses of a forbidden module by its name."""
    forbidden = set(SANS_IO.forbidden_modules)
    for node in nodes(text, ast.Attribute, ast.Call):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id in forbidden:
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.removeprefix("datetime.") in IO_CALLS or called in IO_CALLS:
                yield f"line {node.lineno}: {called}()"


def dynamic_imports(text: str) -> Iterator[str]:
    for node in nodes(text, ast.Call):
        assert isinstance(node, ast.Call)
        if ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_core_is_sans_io() -> None:
    """Below the drivers there is no clock, no randomness, no I/O and no event loop."""
    in_core = {path for path in sources() if path.partition("/")[0] in SANS_IO_FOLDERS}
    assert violations(io_use, lambda path: path in in_core) == []
    # The registry imports the members that upper layers have registered by name: that is what it is for.
    assert violations(dynamic_imports, lambda path: path in in_core - {"core/registry.py"}) == []


def locking_finalisers(text: str) -> Iterator[str]:
    for function in nodes(text, ast.FunctionDef):
        assert isinstance(function, ast.FunctionDef)
        if function.name != "__del__":
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.With):
                held = [ast.unparse(item.context_expr) for item in node.items]
                yield from (f"line {node.lineno}: with {name}" for name in held if "lock" in name.lower())
            if isinstance(node, ast.Attribute) and node.attr == "acquire":
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_finalisers_take_no_lock() -> None:
    """The collector can run inside the critical section: a finaliser that locks waits for itself."""
    assert violations(locking_finalisers) == []


# Public names.


def module_path(name: str) -> str | None:
    """meshlib.core.wait to core/wait.py, or to core/wait/__init__.py."""
    stem = name.partition(".")[2].replace(".", "/")
    return next(
        (path for path in (f"{stem}.py", f"{stem}/__init__.py".lstrip("/")) if path in sources()), None
    )


def module_name(path: str) -> str:
    stem = path.removesuffix(".py").removesuffix("__init__").rstrip("/")
    return "meshlib" + ("." + stem.replace("/", ".") if stem else "")


def origin(importer: str, node: ast.ImportFrom) -> str:
    """The absolute name of the module that the import statement names."""
    if not node.level:
        return node.module or ""
    package = module_name(importer).split(".")
    package = package[: len(package) - node.level + importer.endswith("__init__.py")]
    return ".".join([*package, *filter(None, [node.module])])


def undocumented(path: str, name: str) -> bool:
    """Whether `name`, defined in that file or imported there from another file of ours, lacks a docstring."""
    for node in nodes(sources()[path], ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.ImportFrom):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                home = module_path(origin(path, node))
                if name == (alias.asname or alias.name) and home not in (None, path):
                    return undocumented(home, alias.name)
        elif isinstance(node, ast.ClassDef | FunctionNode) and node.name == name:
            return not ast.get_docstring(node)
    return False


def public_names(text: str) -> list[str]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if ast.unparse(targets[0]) == "__all__":
                return [str(name) for name in ast.literal_eval(node.value)]
    return []


def test_public_names_are_documented() -> None:
    """Every class and function that an `__all__` names says what it promises."""
    found = [(path, name) for path, text in sources().items() for name in public_names(text)]
    assert [f"{path}: {name}" for path, name in found if undocumented(path, name)] == []


# The repository.


def misplaced(paths: set[str], modules: set[str]) -> Iterator[str]:
    for path in paths:
        folder, _, file = path.rpartition("/")
        stem = file.removeprefix("test_").removesuffix(".py").replace("init", "__init__")
        home = f"{folder}/{stem}".lstrip("/")
        if f"{home}.py" not in modules and f"{home}/__init__.py" not in modules:
            yield f"tests/unit/{path}: no src/meshlib/{home}.py"


def test_unit_tests_mirror_the_source() -> None:
    """tests/unit/<package>/test_<module>.py tests src/meshlib/<package>/<module>.py; test_init.py its __init__."""
    tests = {path.relative_to(UNIT).as_posix() for path in UNIT.rglob("test_*.py")}
    assert sorted(misplaced(tests, set(sources()))) == []


def machine_paths(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.search(r"(?<![\w.:/>-])/(home|root|Users|work)/\w+|\b[A-Z]:\\Users\\", line):
            yield f"line {number}: {found[0]}"


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for path in map(ROOT.joinpath, filter(None, listed.stdout.split("\0"))) if path.is_file()]


def test_no_machine_paths() -> None:
    """Nothing in the repository names a folder of somebody's machine."""
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:
            text = content.decode(errors="replace")
            found += [f"{path.relative_to(ROOT)}: {violation}" for violation in machine_paths(text)]
    assert found == []


# The checkers.

BODY = "".join(f"    a{number} = 0\n" for number in range(FUNCTION_LINES))
BREAKERS: list[tuple[Checker, str]] = [
    (long_functions, f"def f():\n    '''Doc.'''\n{BODY}    return\n"),
    (long_functions, f"async def f():\n{BODY}    return\n"),
    (stage_line, '"""A package."""'),
    (stage_line, f'"""{STAGES}\n"""'),
    (stage_line, f'"""{STAGES.replace("route", "[route]").replace("cluster", "[cluster]")}\n"""'),
    (unfinished, "a = 1  # TO" + "DO: more\n"),
    (swallowed, "try:\n    f()\nexcept:\n    raise\n"),
    (swallowed, "try:\n    f()\nexcept Exception:\n    pass\n"),
    (swallowed, "try:\n    f()\nexcept (ValueError, Exception):\n    ...\n"),
    (swallowed, "try:\n    f()\nexcept BaseException as error:\n    log()\n"),
    (swallowed, "with contextlib.suppress(Exception):\n    f()\n"),
    (io_use, "now = time.monotonic()\n"),
    (io_use, "random.random()\n"),
    (dynamic_imports, "importlib.import_module('asyncio')\n"),
    (io_use, "open('x')\n"),
    (io_use, "datetime.datetime.now()\n"),
    (locking_finalisers, "class A:\n    def __del__(self):\n        with self._lock:\n            pass\n"),
    (locking_finalisers, "class A:\n    def __del__(self):\n        self.guard.acquire()\n"),
    (machine_paths, "see /" + "home/me/notes\n"),
    (machine_paths, '"/' + 'root/x"\n'),
]
KEEPERS: list[tuple[Checker, str]] = [
    (long_functions, f"def f():\n    '''Doc.\n{chr(10) * 50}    '''\n{BODY}"),
    (stage_line, f'"""{STAGES.replace("route", "[route]")}\n\nText."""'),
    (unfinished, "todo = hack = 1\n"),
    (swallowed, "try:\n    f()\nexcept BaseException:\n    close()\n    raise\n"),
    (swallowed, "try:\n    f()\nexcept BaseException as error:\n    future.set_exception(error)\n"),
    (swallowed, "try:\n    f()\nexcept OSError:\n    pass\n"),
    (io_use, "call.time = self.random() + rng.random() + now\n"),
    (locking_finalisers, "class A:\n    def __del__(self):\n        self.abandoned.append(self.lease)\n"),
    (machine_paths, "http://orders/home/me and docs/work/x and /etc/x\n"),
]


@pytest.mark.parametrize(("checker", "text"), BREAKERS)
def test_checker_sees(checker: Checker, text: str) -> None:
    """A snippet that breaks the rule is reported."""
    assert list(checker(text))


@pytest.mark.parametrize(("checker", "text"), KEEPERS)
def test_checker_lets_pass(checker: Checker, text: str) -> None:
    """A snippet that keeps the rule is not."""
    assert list(checker(text)) == []


def test_checkers_with_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the checkers that look at more than one text."""
    assert list(file_length("core/a.py", "\n" * 601))
    assert list(file_length("core/a.py", "\n" * 401))
    assert not list(file_length("core/a.py", "\n" * 400))

    assert list(misplaced({"core/test_a.py"}, {"core/b.py"}))
    assert not list(misplaced({"core/test_a.py", "core/test_init.py"}, {"core/a.py", "core/__init__.py"}))

    init = "from .a import f, g\nfrom meshlib.core.a import h\n__all__ = ['f', 'g', 'h', 'X']\nX = 1\n"
    module = "def f(): ...\ndef g():\n    '''Does.'''\ndef h(): ...\n"
    fake = {"core/__init__.py": init, "core/a.py": module}
    monkeypatch.setitem(globals(), "sources", lambda: fake)
    names = public_names(init)
    assert [name for name in names if undocumented("core/__init__.py", name)] == ["f", "h"]
