"""Files: reading, and noticing that one changed, by polling.

`stat` follows symbolic links, so the atomic swap of Kubernetes' `..data` link (a new inode behind an unchanged path)
shows like any other change. inotify would not work on the network and overlay file systems where such files live.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator

from meshlib.core.io import IO
from meshlib.world import fork
from meshlib.world.clock import wall
from meshlib.world.offload import Offload

__all__ = ["EVERY", "LARGEST", "Files", "changes"]

EVERY = 1.0
"""Seconds between two looks at a file."""

LARGEST = 64 * 1024 * 1024
"""Bytes; a control-path document beyond that is a mistake (a log, a device), and would be held in memory."""

# Seconds after which a time stamp can be trusted: the coarsest file systems count in steps of two.
_SETTLED = 2.0
_REMEMBERED = 64

Mark = tuple[int, int, int, int, int]


class Files:
    """Reads whole files on a thread. Use from one loop at a time.

    A file that did not change is not read again, and the very same bytes object is returned: `is` answers whether
    anything changed. A time stamp younger than 2 s is not believed, the content is read and compared instead.
    """

    def __init__(self) -> None:
        self._offload = Offload(4, "meshlib-files")
        self._known: dict[str, tuple[Mark | None, bytes]] = {}
        fork.watch(self)

    def after_in_child(self) -> None:
        """What the parent read is still true here; only a half-made entry would not be."""
        self._known = {}

    async def read(self, path: str) -> bytes:
        """The content; OSError when it cannot be read, is no regular file or too large."""
        return await self._offload.run(lambda: self.load(path))

    def load(self, path: str) -> bytes:
        """`read` for code that may block."""
        known = self._known.get(path)
        if known is not None and known[0] is not None and known[0] == _mark(os.stat(path)):
            return known[1]
        mark, content = _whole(path)
        if known is not None and known[1] == content:
            content = known[1]
        while len(self._known) >= _REMEMBERED and path not in self._known:
            self._known.pop(next(iter(self._known)), None)
        self._known[path] = (mark, content)
        return content


def _mark(found: os.stat_result) -> Mark:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _whole(path: str) -> tuple[Mark | None, bytes]:
    """The content and the mark it stood under, None when the mark may not be trusted."""
    # O_NONBLOCK: opening a FIFO that nobody writes to would block this thread for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", path)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", path)
        content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise OSError(errno.EFBIG, f"is larger than {LARGEST} bytes", path)
        after = os.fstat(descriptor)
    fresh = wall() - max(after.st_mtime, after.st_ctime) < _SETTLED
    return (None if fresh or _mark(before) != _mark(after) else _mark(after)), content


async def changes(path: str, io: IO, every: float = EVERY) -> AsyncIterator[bytes]:
    """The content of `path` now and after each change, looked at every `every` seconds (at once on a refresh).

    Works on any IO. OSError is let out; start again to go on watching.
    """
    content = await io.read(path)
    yield content
    while True:
        await io.sleep(every)
        found = await io.read(path)
        if found is not content and found != content:
            content = found
            yield content
