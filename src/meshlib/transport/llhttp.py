"""Told: what llhttp (httptools) says of the bytes it is given."""

from __future__ import annotations

__all__ = ["Fields", "Told"]

Fields = list[tuple[bytes, bytes]]


class Told:
    """The methods that llhttp calls. Not the connection's own: their parser would make every connection a cycle.

    `ended` says that the head is over, and when it was unset then, that the message is; nothing counts after that.
    """

    __slots__ = ("begun", "ended", "fields", "parts", "size", "trailers")

    on_status = on_chunk_header = on_chunk_complete = None  # found and not called costs less than not found

    def __init__(self) -> None:
        self.fields: Fields = []
        self.trailers: Fields = []
        self.parts: list[bytes] = []
        self.size: int = 0
        self.begun: int = 0
        self.ended: bool = False

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp drops the blanks before a value and keeps those behind it.
        self.fields.append((name, value.rstrip()))

    def on_headers_complete(self) -> None:
        self.ended = True

    def on_body(self, data: bytes) -> None:
        if not self.ended:
            self.parts.append(data)
            self.size += len(data)

    def on_message_complete(self) -> None:
        if not self.ended:
            self.ended = True
            self.trailers, self.fields = self.fields, []
