"""The storm: what happens to the servers while they are called. Killed and started again, slow, failing, refusing, gone."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from random import Random
from types import TracebackType

from benchmarks.chaos.servers import Rascals
from meshlib.testing import ServiceProcess

__all__ = ["Storm"]

RASCALS, STEADY = 4, 3


class Storm:
    """Rascals and well-behaved services, and a thread that troubles them until `calm`. A context manager."""

    def __init__(self, seed: int, pause: float = 1.0) -> None:
        self._random = Random(seed)
        self._pause = pause
        self.rascals = Rascals(RASCALS, seed)
        self.steady = [ServiceProcess(f"steady-{number}") for number in range(STEADY)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._blow, name="soak-storm")
        self._stack = ExitStack()
        self.deeds: dict[str, int] = {}
        self.failure: BaseException | None = None

    @property
    def discovery(self) -> dict[str, str]:
        """Discovery URIs of the services: rascals only, well-behaved only, and both together."""
        bad, good = self.rascals.addresses, [service.address for service in self.steady]
        return {
            "rascals": f"static://{','.join(bad)}",
            "steady": f"static://{','.join(good)}",
            "mixed": f"static://{','.join(bad[:2] + good[:2])}",
        }

    def calm(self) -> None:
        """No more troubles; everybody is up and well."""
        self._over.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure
        self.rascals.tell("behave")

    def open_connections(self) -> int:
        """As the rascals see them."""
        return int(self.rascals.tell("open"))

    def __enter__(self) -> Storm:
        with ExitStack() as stack:
            stack.enter_context(self.rascals)
            for service in self.steady:
                service.launch()
                stack.callback(service.stop)
            for service in self.steady:
                service.ready()
            self._stack = stack.pop_all()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._stack.close()

    def _blow(self) -> None:
        try:
            while not self._over.wait(self._random.uniform(0.2, 1.8) * self._pause):
                deed = self._random.choice(
                    (self._kill, self._slow, self._fail, self._refuse, self._blackhole)
                )
                name = deed.__name__.strip("_")
                self.deeds[name] = self.deeds.get(name, 0) + 1
                deed()
        except BaseException as error:
            self.failure = error

    def _lull(self) -> None:
        self._over.wait(self._random.uniform(0.1, 1.0) * self._pause)

    def _kill(self) -> None:
        service = self._random.choice(self.steady)
        service.kill()
        self._lull()
        service.start()

    def _slow(self) -> None:
        service = self._random.choice(self.steady)
        service.control(delay=self._random.choice((0.05, 0.2, 1.0)))
        self._lull()
        service.control(delay=0.0)

    def _fail(self) -> None:
        service = self._random.choice(self.steady)
        service.control(fail=self._random.choice((0.2, 1.0)))
        self._lull()
        service.control(fail=0.0)

    def _refuse(self) -> None:
        self._away("refuse")

    def _blackhole(self) -> None:
        self._away("blackhole")

    def _away(self, how: str) -> None:
        which = self._random.randrange(RASCALS)
        self.rascals.tell(f"{how} {which}")
        self._lull()
        self.rascals.tell(f"restore {which}")
