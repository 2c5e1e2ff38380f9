"""Counting by many threads."""

from __future__ import annotations

from threading import Thread
from typing import Any

from meshlib.telemetry import names
from meshlib.telemetry.tally import Tally


def test_threads_lose_nothing() -> None:
    """Every event of every thread is counted."""
    tally = Tally()

    def work() -> None:
        for _ in range(2000):
            tally.event(names.EJECTIONS, ("meshlib.service", "orders"))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(tally.read(names.EJECTIONS)) == [(8000, {"meshlib.service": "orders"})]


def test_series_keep_their_attributes(mini: Any) -> None:
    """The attributes of a duration are made once."""
    mini.call()
    tally = mini.otel._metrics._tally
    [series] = tally._series.values()
    assert series.timed("success") is series.timed("success")
    assert series.timed("success")["meshlib.cluster"] == "orders"
