"""Window: exact counts of good and bad over the last seconds, in buckets.

Never an average that decays: an EMA gives a fast burst almost no weight and can hide a total outage, for which
linkerd2-proxy replaced its own by ten exact buckets (linkerd2-proxy#4561).
"""

from __future__ import annotations

from meshlib.errors import ConfigError

__all__ = ["Window"]

_NEVER = -(1 << 62)
_NOTES = 256
"""Notes kept before somebody counts them: a page of memory, and the lock once in so many calls."""


class Window:
    """Rolling counts over `span` seconds in `buckets` buckets; the newest bucket is the running one.

    What was added is counted for at least `span - span / buckets` and at most `span` seconds. `good` and `bad` are
    running totals as of the last `add` or `roll`: roll before reading when time may have passed. Bucket borders lie
    at multiples of the bucket's width, so windows of equal shape stay aligned and can be subtracted (`remove`).
    A `now` older than the newest bucket counts in the newest bucket, because totals that are late are better than
    totals that are wrong. `edge` is when the running bucket ends: on a path where a method call is too dear, `add` is
    "roll once `now` has reached the edge, then raise `good` or `bad` by one". Not thread-safe: its owner holds a lock.
    """

    __slots__ = (
        "_at",
        "_bads",
        "_before_bad",
        "_before_good",
        "_goods",
        "_number",
        "_width",
        "bad",
        "edge",
        "good",
        "noted",
        "span",
    )

    def __init__(self, span: float, buckets: int = 10) -> None:
        if not 0.0 < span < float("inf") or buckets < 1:
            raise ConfigError(
                f"a window needs a finite span above 0 and a bucket, got {span!r} and {buckets!r}"
            )
        self._goods = [0] * buckets
        self._bads = [0] * buckets
        self.noted: list[None] = []
        self._shape(span)

    def _shape(self, span: float) -> None:
        self.span: float = span
        self._width = span / len(self._goods)
        self._at = 0
        self._number = _NEVER
        self.edge: float = float("-inf")
        self.reset()

    def _clear(self) -> None:
        self.good: int = 0
        self.bad: int = 0
        self._before_good = self._before_bad = 0
        for slot in range(len(self._goods)):
            self._goods[slot] = self._bads[slot] = 0

    @property
    def total(self) -> int:
        """Good and bad together."""
        return self.good + self.bad

    def add(self, now: float, good: bool) -> None:
        """Count one at `now` (finite monotonic seconds)."""
        if now >= self.edge or self.noted:
            self.roll(now)
        # The running bucket is what the totals have grown by since it began, so that counting writes one number.
        if good:
            self.good += 1
        else:
            self.bad += 1

    def note(self, now: float) -> bool:
        """Count a good one without the owner's lock; False when it is time to take the lock and `add` it.

        The only part that any thread may call at any time: appending to a list is atomic, with the GIL and without.
        Totals include what was noted once they are rolled, and a note is never lost or counted twice.
        """
        if now >= self.edge or len(self.noted) >= _NOTES:
            return False
        self.noted.append(None)
        return True

    def roll(self, now: float) -> None:
        """Count what was noted, and forget what has become older than the window at `now`."""
        noted = len(self.noted)
        if noted:
            # No more than was counted is taken out: another thread may be adding to the end.
            del self.noted[:noted]
            self.good += noted
        if now < self.edge:
            return
        self._write()
        number = int(now // self._width)
        steps = number - self._number
        size = len(self._goods)
        if steps >= size:
            self._clear()
        else:
            at = self._at
            for _ in range(steps):
                at = at + 1 if at + 1 < size else 0
                self.good -= self._goods[at]
                self.bad -= self._bads[at]
                self._goods[at] = self._bads[at] = 0
            self._at = at
            self._before_good, self._before_bad = self.good, self.bad
        self._number = number
        self.edge = (number + 1) * self._width

    def _write(self) -> None:
        """Bring the running bucket up to date."""
        self._goods[self._at] = self.good - self._before_good
        self._bads[self._at] = self.bad - self._before_bad

    def ratio(self, now: float) -> float | None:
        """The share of good in the window at `now`, or None while it is empty."""
        self.roll(now)
        total = self.good + self.bad
        return self.good / total if total else None

    def remove(self, part: Window, now: float) -> None:
        """Take out what was also added to `part`, a window of the same shape that shared its additions with this one.

        A bucket never goes below zero, whatever `part` holds.
        """
        self.roll(now)
        part.roll(now)
        self._write()
        part._write()
        size = len(self._goods)
        for age in range(min(size, len(part._goods))):
            ours, theirs = self._at - age, part._at - age  # negative indices go round the ring by themselves
            good = min(self._goods[ours], part._goods[theirs])
            bad = min(self._bads[ours], part._bads[theirs])
            self._goods[ours] -= good
            self._bads[ours] -= bad
            self.good -= good
            self.bad -= bad
        self._before_good = self.good - self._goods[self._at]
        self._before_bad = self.bad - self._bads[self._at]

    def reset(self) -> None:
        """Forget everything; the place in time stays."""
        self.noted.clear()
        self._clear()

    def resize(self, span: float) -> None:
        """Cover `span` seconds from now on. A changed length starts empty, because old buckets have the old width."""
        if span != self.span:
            self._shape(span)

    def __repr__(self) -> str:
        return f"Window({self.span:g} s, {self.good} good, {self.bad} bad)"
