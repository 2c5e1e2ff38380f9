"""Soak: chaos on every wire and HTTP family at once, and nothing may be left of it.

    python -m benchmarks.soak                      60 s
    python -m benchmarks.soak --minutes 60         the long form
    python -m benchmarks.soak --wire lean --seed 7

Servers in processes of their own reset, cut, drip, hang, lie, are killed and come back, while threads and tasks call them in all
manners: streams are left, calls cancelled, loops closed. In the end no connection, descriptor, thread, task or
engine object may be left, every call must be accounted for, every answer must have been to its request, and memory must be
flat within 5 % after warm-up. Exit code 1 with a list otherwise. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from benchmarks.chaos.echo import target
from benchmarks.chaos.fleet import Party, families
from benchmarks.chaos.leaks import Baseline, growth, left_behind
from benchmarks.chaos.ledger import Ledger
from benchmarks.chaos.rude import Caller, call_async, call_sync, fleeting_loops
from benchmarks.chaos.storm import Storm
from benchmarks.e2e.accounts import held, resident
from meshlib.errors import CircuitOpenError

WIRES = ("lean", "httpx")
THREADS, TASKS = 2, 6
PEACE = 10.0
"""Seconds in which everything must have been given back."""
SAMPLED = 2.0
"""Seconds between looks at memory."""
LONG_ENOUGH = 30.0
"""Seconds from which on memory is judged."""


class Soak:
    """One run. `findings` after it is everything that is wrong."""

    def __init__(self, seconds: float, wires: Sequence[str], seed: int, pace: float = 0.02) -> None:
        self.seconds, self.wires, self.seed, self.pace = seconds, wires, seed, pace
        self.ledger = Ledger()
        self.samples: list[tuple[float, float]] = []
        self.highest = 0.0
        self.findings: list[str] = []
        self.facts: list[str] = []
        self._more = 0
        self._started = 0
        self._over = threading.Event()

    async def run(self) -> None:
        """Everything."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complained)
        sys.unraisablehook = self._unraisable
        await self._rehearse()
        before = Baseline()
        with Storm(self.seed) as storm:
            parties = [Party(family, wire, storm.discovery) for wire in self.wires for family in families()]
            await self._work(parties)
            await asyncio.to_thread(storm.calm)
            await self._epilogue(parties)
            await self._settled(parties)
            for party in parties:
                self._account(party)
                await party.close()
            parties.clear()
            await self._peace(lambda: self._open(storm))
            self.facts.append(
                "troubles: " + ", ".join(f"{n} x {deed}" for deed, n in sorted(storm.deeds.items()))
            )
        await self._peace(lambda: [*left_behind(), *before.leaked()])
        self._judge()

    async def _rehearse(self) -> None:
        """What is made once a process is made now: the background thread, modules, executors."""
        url = "http://nobody/"
        for wire in self.wires:
            for family in families():
                party = Party(family, wire, {"nobody": "static://127.0.0.1:9"})
                for call in (party.aio.get(url), asyncio.to_thread(party.sync.get, url)):
                    with contextlib.suppress(*party.family.errors):
                        await call
                await party.close()
        gc.collect()

    async def _work(self, parties: Sequence[Party]) -> None:
        began = time.monotonic()
        threads = list(self._threads(parties))
        for thread in threads:
            thread.start()
        tasks = [asyncio.create_task(self._task(caller)) for caller in self._callers(parties, TASKS)]
        while (passed := time.monotonic() - began) < self.seconds:
            self.highest = max(self.highest, resident())
            self.samples.append((passed, held()))
            await asyncio.sleep(min(SAMPLED, self.seconds - passed))
        self._over.set()
        await asyncio.gather(*tasks)
        for thread in threads:
            await asyncio.to_thread(thread.join)

    async def _epilogue(self, parties: Sequence[Party]) -> None:
        """Call everybody once more: a finaliser may take no lock, so what was forgotten is given back by the next call."""
        gc.collect()
        for party in parties:
            for number, service in enumerate(party.services):
                url = f"http://{service}{target(number, 200)}"
                for call in (party.aio.get(url), asyncio.to_thread(party.sync.get, url)):
                    try:
                        self._more += 1
                        await call
                    except party.family.errors as error:
                        self._more -= isinstance(error, CircuitOpenError)
                        self.facts.append(f"{party.name}, {service}, after the storm: {type(error).__name__}")

    def _callers(self, parties: Sequence[Party], count: int) -> Iterator[Caller]:
        for party in parties:
            for number in range(count):
                yield Caller(party, self.ledger, Random(f"{self.seed} {party.name} {count} {number}"))

    def _threads(self, parties: Sequence[Party]) -> Iterator[threading.Thread]:
        for caller in self._callers(parties, THREADS):
            yield threading.Thread(target=self._thread, args=(caller,), name="soak-caller")
        for caller in self._callers(parties, 1):
            yield threading.Thread(target=fleeting_loops, args=(caller, self._over), name="soak-loops")

    def _thread(self, caller: Caller) -> None:
        while not self._over.wait(caller.random.uniform(0, 2) * self.pace):
            call_sync(caller)

    async def _task(self, caller: Caller) -> None:
        while not self._over.is_set():
            await call_async(caller)
            await asyncio.sleep(caller.random.uniform(0, 2) * self.pace)

    # --- looking for what is wrong -----------------------------------------------------------------------------------

    async def _settled(self, parties: Sequence[Party]) -> None:
        def held() -> list[str]:
            return [f"{party.name}: {count} in flight" for party in parties if (count := party.in_flight())]

        await self._peace(held)

    async def _peace(self, wrong: Any) -> None:
        """Wait for nothing to be wrong; keep what still is when time is up."""
        until = time.monotonic() + PEACE
        while True:
            gc.collect()
            found = list(wrong())
            if not found or time.monotonic() > until:
                self.findings += found
                return
            await asyncio.sleep(0.1)

    def _open(self, storm: Storm) -> list[str]:
        count = storm.open_connections()
        return [f"the servers still see {count} connections"] if count else []

    def _account(self, party: Party) -> None:
        counts = party.watcher.counts
        for what in ("call", "attempt"):
            started, finished = counts[f"{what} started"], counts[f"{what} finished"]
            if started != finished:
                self.findings.append(f"{party.name}: {started} {what}s started, {finished} finished")
        self._started += counts["call started"]
        calls, attempts = counts["call started"], counts["attempt started"]
        self.facts.append(f"{party.name} ({party.carried()}): {calls} calls, {attempts} attempts")

    def _judge(self) -> None:
        ledger = self.ledger
        ended = sum(ledger.ended.values())
        if ended != ledger.begun:
            self.findings.append(f"{ledger.begun} calls begun, {ended} ended")
        admitted = ledger.begun + self._more - ledger.ended["refused"]
        if self._started != admitted:
            self.findings.append(f"{admitted} calls not refused, meshlib counted {self._started}")
        self.findings += ledger.problems
        if ledger.unsaid:
            self.findings.append(f"and {ledger.unsaid} problems more")
        if self.seconds >= LONG_ENOUGH:
            first, last, complaint = growth(self.samples, self.seconds)
            said = f"{first:.1f} MiB after warm-up, {last:.1f} MiB at the end"
            self.facts.append(
                f"memory held: {said}; with what the allocator keeps, {self.highest:.1f} at most"
            )
            self.findings += [complaint] if complaint else []

    def _complained(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.ledger.problem(f"the loop complains: {context.get('message')}", context.get("exception"))

    def _unraisable(self, found: Any) -> None:
        self.ledger.problem(f"unraisable in {found.object!r:.80}", found.exc_value)

    def page(self) -> str:
        """What happened, and what is wrong."""
        ended: Counter[str] = self.ledger.ended
        lines = [f"{self.ledger.begun} calls in {self.seconds:.0f} s, seed {self.seed}", *self.facts]
        lines += [f"  {count:7} {word}" for word, count in ended.most_common()]
        if self.findings:
            lines += ["", "WRONG:", *(f"  - {finding}" for finding in self.findings)]
        else:
            lines += ["", "nothing leaked, every call accounted for"]
        return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--wire", choices=("both", *WIRES), default="both")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(given)
    seconds = chosen.seconds or chosen.minutes * 60
    soak = Soak(seconds, WIRES if chosen.wire == "both" else (chosen.wire,), chosen.seed)
    # Whoever hangs says where, and ends.
    faulthandler.dump_traceback_later(seconds + 90, exit=True)
    asyncio.run(soak.run())
    faulthandler.cancel_dump_traceback_later()
    print(soak.page())
    return 1 if soak.findings else 0


if __name__ == "__main__":
    sys.exit(main())
