"""The default balancer: the power of a few choices on learned latency, load and the age of what is still waiting.

The cheapest of three random nodes (`choices`; two are Finagle's P2C, but leave a slow half of the nodes no less than
24 % of the traffic, see `balancing.best_of`), where

cost = EWMA of time to head x (attempts in flight + 1), in which

* the average is taken over the *logarithm* of the time (weight 0.2 a sample): a single pause moves it little, a node
  that is three times slower is told apart as quickly at 1 ms as at 1 s. `cost = "peak"` selects Finagle's Peak-EWMA
  instead, which jumps to any slower sample and decays with time (tau 10 s);
* while the oldest waiting attempt is older than twice the average, its age stands in: a hang shows before any reply
  (Kratos predicts from the ages in flight);
* failures and throttles are charged 5 s, or the server's Retry-After up to 300 s, so that answering fast with an
  error never makes a node attractive (Linkerd's load biaser, 2026), and move the average by 0.35: a client that sees
  a node a few times a second cannot wait for a fifth failure to leave it;
* a node that has not been learned costs nothing while idle and very much while its first attempt is out, so a new
  node is tried by one attempt at a time (Finagle's cold-start guard);
* one sample condemns nobody: until its third call an idle node that never failed is offered cheaply (a quarter of the
  price after one call, half after two), and a lower time among its first three replaces what was learned. First calls
  pay for caches and lazy imports; a busy client is past this at once, as calls in flight count;
* among two or three nodes the cheaper one wins mostly, not always (`choices`): a node that lost every comparison
  would take no samples, and one unlucky average would shut it out;
* an average that takes no samples fades with tau 30 s, so that a node once charged is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from meshlib.balancing.base import Picked, Picker, Random
from meshlib.balancing.best_of import best_of
from meshlib.core.options import Options, Seconds
from meshlib.core.outcome import Outcome

__all__ = ["EwmaOptions", "EwmaP2C", "cost"]

_COLD = 1e6
_FADE = 30.0
_FLOOR = 1e-6
_FIRST = 3
_OFFER = 0.25


class EwmaOptions(Options, frozen=True, kw_only=True):
    """Options of `balancer = "p2c"`."""

    group: ClassVar[str] = "balancer.p2c"

    cost: Annotated[
        Literal["log", "peak"], Meta(description="log bears pauses better than Peak-EWMA (simulated)")
    ] = "log"
    choices: Annotated[
        int,
        Meta(
            ge=2,
            le=8,
            description="random nodes compared: a third takes a third off p99 among unequal servers (simulated)",
        ),
    ] = 3
    sample_weight: Annotated[
        float, Meta(gt=0, le=1, description="how far one sample moves the logarithmic average")
    ] = 0.2
    failure_weight: Annotated[
        float,
        Meta(gt=0, le=1, description="the same for a failure: it says more than one slow answer (simulated)"),
    ] = 0.35
    tau: Annotated[float, Meta(gt=0, description="decay of the peak average in seconds, as in Finagle")] = (
        10.0
    )
    penalty: Annotated[Seconds, Meta(description="what a failed attempt is charged, as in Linkerd")] = 5.0
    max_penalty: Annotated[Seconds, Meta(description="the longest Retry-After believed, as in Envoy")] = 300.0


class EwmaP2C:
    """`balancer = "p2c"`."""

    options: ClassVar[type[Options]] = EwmaOptions

    def __init__(self, options: Options) -> None:
        assert isinstance(options, EwmaOptions)
        self._choices = options.choices
        # Peak-EWMA forgets within seconds by itself, and its costs lie too near each other for doubt beside a hung node.
        self._doubt = options.cost == "log"
        learner = _Peak(options) if options.cost == "peak" else _Logarithmic(options)
        self.observe: Callable[[Picked, Outcome, float, float], None] = learner.observe
        self.waited: Callable[[Picked, float, float], None] = learner.waited

    def build(self, nodes: Sequence[Picked], random: Random) -> Picker:
        """The cheapest of `choices` by `cost`; of two in sets that small."""
        return best_of(nodes, random, cost, self._choices, doubt=self._doubt)


def cost(node: Picked, now: float) -> float:
    """The expected price of one more attempt on `node`, in seconds times queue length."""
    ewma = node.ewma
    if ewma == 0.0:
        return _COLD * node.in_flight
    idle = now - node.stamp
    if idle > 1.0:
        ewma *= exp(-idle / _FADE)
    age = now - node.oldest
    if age > 2.0 * ewma:
        ewma = age
    elif 0 < node.calls < _FIRST and not node.failures:
        ewma *= _OFFER * node.calls
    return ewma * (node.in_flight + 1)


class _Learning:
    """What both averages share: charging failures, and bounds that may only raise."""

    def __init__(self, options: EwmaOptions) -> None:
        self._options = options

    def observe(self, node: Picked, outcome: Outcome, seconds: float, now: float) -> None:
        options = self._options
        if outcome.charged:
            wished = outcome.pushback or 0.0
            seconds = max(seconds, options.penalty, min(wished, options.max_penalty))
            self.take(node, seconds, now, options.failure_weight)
        else:
            if seconds < node.ewma and 0 < node.calls <= _FIRST and not node.failures:
                # Averaged in, too dear a beginning would outlast the few samples of a quiet client.
                node.ewma = 0.0
            self.take(node, seconds, now, options.sample_weight)

    def waited(self, node: Picked, seconds: float, now: float) -> None:
        if seconds > node.ewma:
            self.take(node, seconds, now, self._options.sample_weight)

    def take(self, node: Picked, seconds: float, now: float, weight: float) -> None:
        raise NotImplementedError


class _Logarithmic(_Learning):
    """`exp` of the average of logarithms: the geometric mean of recent times."""

    def take(self, node: Picked, seconds: float, now: float, weight: float) -> None:
        seconds = seconds if seconds > _FLOOR else _FLOOR
        ewma = node.ewma
        if ewma == 0.0:
            node.ewma = seconds
        else:
            idle = now - node.stamp
            if idle > 1.0:
                ewma = max(ewma * exp(-idle / _FADE), _FLOOR)
            node.ewma = ewma * (seconds / ewma) ** weight
        node.stamp = now


class _Peak(_Learning):
    """Finagle's Peak-EWMA: up at once, down with time constant tau."""

    def take(self, node: Picked, seconds: float, now: float, weight: float) -> None:
        if seconds > node.ewma:
            node.ewma = max(seconds, _FLOOR)
        else:
            keep = exp(-max(0.0, now - node.stamp) / self._options.tau)
            node.ewma = max(seconds + (node.ewma - seconds) * keep, _FLOOR)
        node.stamp = now
