"""Reading a file, and knowing that it did not change."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from meshlib.world import files
from meshlib.world.files import Files, changes


def old(path: Path, content: bytes, age: float = 100.0) -> None:
    """A file whose time stamps can be trusted."""
    path.write_bytes(content)
    then = files.wall() - age
    os.utime(path, (then, then))


def test_unchanged_is_the_same_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without reading again, once the time stamps are old enough."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    monkeypatch.setattr(files, "wall", lambda: os.stat(path).st_ctime + 10)
    reader = Files()
    first = reader.load(str(path))
    monkeypatch.setattr(files, "_whole", None)
    assert reader.load(str(path)) is first


def test_young_stamp_is_not_believed(tmp_path: Path) -> None:
    """A second write of the same size within the clock's grain is seen; the same content stays the same object."""
    path = tmp_path / "a"
    old(path, b"one")
    reader = Files()
    first = reader.load(str(path))
    assert reader.load(str(path)) is first
    old(path, b"two")
    assert reader.load(str(path)) == b"two"


def test_symlink_swap(tmp_path: Path) -> None:
    """Kubernetes replaces the folder behind a link: the path stays, the content changes."""
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "doc").write_bytes(name.encode())
    data = tmp_path / "..data"
    data.symlink_to("v1")
    (tmp_path / "doc").symlink_to("..data/doc")
    reader = Files()
    assert reader.load(str(tmp_path / "doc")) == b"v1"
    (tmp_path / "new").symlink_to("v2")
    os.replace(tmp_path / "new", data)
    assert reader.load(str(tmp_path / "doc")) == b"v2"


def test_refuses_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a FIFO (without hanging), a monster, nothing."""
    reader = Files()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(b"12345")
    monkeypatch.setattr(files, "LARGEST", 4)
    assert stat.S_ISFIFO(os.stat(tmp_path / "fifo").st_mode)
    for name in ("", "fifo", "big", "none"):
        with pytest.raises(OSError, match=r"folder|regular|larger|No such|directory"):
            reader.load(str(tmp_path / name))


def test_memory_is_bounded(tmp_path: Path) -> None:
    """However many files are read once."""
    reader = Files()
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"x")
        reader.load(str(tmp_path / str(number)))
    assert len(reader._known) == 64


def test_changes_yields_the_first_and_each_other() -> None:
    """Equal content is no change, even as another object."""

    class World:
        def __init__(self) -> None:
            self.said = [b"a", b"a", bytes(bytearray(b"a")), b"b", b"b", b"c"]

        async def read(self, path: str) -> bytes:
            if not self.said:
                raise FileNotFoundError(path)
            return self.said.pop(0)

        async def sleep(self, seconds: float) -> None:
            assert seconds == 1.0

    async def all_of_it() -> list[bytes]:
        found: list[bytes] = []
        try:
            async for content in changes("/x", World()):  # type: ignore[arg-type]
                found.append(content)
        except FileNotFoundError:
            found.append(b"gone")
        return found

    assert asyncio.run(all_of_it()) == [b"a", b"b", b"c", b"gone"]
