"""The Python snippets of README and docs: all of them compile, those marked `<!-- run -->` run.

The marked snippets of one page are one program, run top to bottom in a directory of its own, whose meshlib.toml
maps the service `orders` to a server on loopback that answers every GET with one JSON document. A tutorial, with files,
commands and servers that its reader starts, is carried out step by step (tests/steps.py).
"""

import ast
import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.steps import Reader, steps

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPET = re.compile(
    r"^(?P<run><!-- run -->\n\s*)?(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
ORDER = json.dumps({"id": 42, "state": "paid"}).encode()


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def programs(text: str) -> Iterator[tuple[str, bool]]:
    """The snippets of a page, moved down so that line numbers are those of the page; and whether each is run."""
    for snippet in SNIPPET.finditer(text):
        indent = len(snippet["indent"])
        code = "".join(line[indent:] or "\n" for line in snippet["code"].splitlines(keepends=True))
        yield "\n" * text.count("\n", 0, snippet.start("code")) + code, bool(snippet["run"])


def marked_program(text: str) -> str:
    """All marked snippets of a page as one program, with the page's line numbers."""
    lines = [""] * (text.count("\n") + 1)
    for program, marked in programs(text):
        if marked:
            for number, line in enumerate(program.splitlines()):
                lines[number] = line or lines[number]
    return "\n".join(lines).rstrip()


TUTORIALS = [page for page in PAGES if any(steps(page.read_text()))]
RUNNABLE = [page for page in PAGES if marked_program(page.read_text())]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one keep-alive connection."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ORDER)
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + ORDER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def run_with_orders(program: Path) -> tuple[int | None, str]:
    """Runs the program beside the `orders` server; returns its exit status and all it printed."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = program.with_name("meshlib.toml")
    config.write_text(f'version = 1\n[services.orders]\ndiscovery = "static://127.0.0.1:{port}"\n')
    async with server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            program.name,
            cwd=program.parent,
            env={**os.environ, "MESHLIB_CONFIG": config.name},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), 30)
        except TimeoutError:
            process.kill()
            printed, _ = await process.communicate()
    return process.returncode, printed.decode()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_snippets_compile(page: Path) -> None:
    """Every snippet is valid Python; `await` outside a function is allowed, as in an asyncio shell."""
    for program, _ in programs(page.read_text()):
        compile(program, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
async def test_marked_snippets_run(page: Path, tmp_path: Path) -> None:
    """A reader who copies the marked snippets of a page sees them work."""
    if not (ROOT / "src/meshlib/transport/client.py").exists():
        pytest.skip("there is no client yet")
    program = tmp_path / f"{page.stem.lower()}.py"
    program.write_text(marked_program(page.read_text()))
    status, printed = await run_with_orders(program)
    assert status == 0, printed


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", TUTORIALS, ids=name_of)
def test_tutorial_can_be_followed(page: Path, tmp_path: Path) -> None:
    """A reader who does what the page says, step by step, sees what it says."""
    with Reader(tmp_path) as reader:
        for step in steps(page.read_text()):
            try:
                reader.do(step)
            except AssertionError as error:
                raise AssertionError(f"{name_of(page)}, line {step.line}: {error}") from None


def test_finds_and_places_snippets() -> None:
    """The extraction itself: marks, indentation, line numbers, other languages."""
    text = (
        "# x\n```sh\nls\n```\n<!-- run -->\n```python\na = 1\n```\n\n  ```python\n  b = 2\n\n  c = 3\n  ```\n"
    )
    assert list(programs(text)) == [("\n" * 6 + "a = 1\n", True), ("\n" * 10 + "b = 2\n\nc = 3\n", False)]
    assert marked_program(text) == "\n" * 6 + "a = 1"
