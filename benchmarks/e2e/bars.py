"""The bars: every figure that meshlib promises end to end, and some for scale."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.e2e.judge import Bar, Figures

__all__ = ["bars"]


def bars() -> list[Bar]:
    """All, in the order of the table."""
    return [*_async(), *_composed(), *_sync(), *_layers(), *_fleet(), *_bodies(), *_sidecar()]


def _ratio(
    text: str, mine: str, peer: str, bar: float | None, stretch: float | None = None, of: str = "cpu"
) -> Bar:
    def measure(own: Figures, other: Figures) -> float:
        return float(own[of] / other[of])

    return Bar(text=text, cells=(mine, peer), measure=measure, bar=bar, stretch=stretch)


def _async() -> Iterator[Bar]:
    aiohttp = {
        ("asyncio", 1): (0.65, 0.55),
        ("asyncio", 32): (0.6, 0.4),
        ("asyncio", 256): (0.6, 0.4),
        ("uvloop", 1): (0.5, 0.45),
        ("uvloop", 32): (0.45, 0.3),
        ("uvloop", 256): (0.45, 0.3),
    }
    for (loop, many), (bar, stretch) in aiohttp.items():
        where = f"{loop}/{many}"
        yield _ratio(f"AsyncClient / aiohttp, {where}", f"meshlib/{where}", f"aiohttp/{where}", bar, stretch)
    for loop, many in aiohttp:
        where = f"{loop}/{many}"
        yield _ratio(f"AsyncClient / pyreqwest, {where}", f"meshlib/{where}", f"pyreqwest/{where}", 1.0, 0.7)
    for many, bar in ((1, 0.2), (32, 0.12)):
        where = f"asyncio/{many}"
        yield _ratio(f"AsyncClient / httpx2, {where}", f"meshlib/{where}", f"httpx2/{where}", bar)
        name = f"httpx2.AsyncClient / httpx2, {where} (for scale)"
        yield _ratio(name, f"meshlib.httpx2/{where}", f"httpx2/{where}", None)
    for loop in ("asyncio", "uvloop"):
        yield Bar(
            text=f"p99 / p50 of AsyncClient, {loop}/256",
            cells=(f"meshlib/{loop}/256",),
            measure=lambda own: own["p99"] / own["p50"],
            bar=3.0,
            stretch=2.0,
        )


def _composed() -> Iterator[Bar]:
    name = "AsyncClient / composed by hand on"
    yield _ratio(f"{name} aiohttp, 32", "meshlib/asyncio/32", "aiohttp stack/asyncio/32", 0.25)
    yield _ratio(f"{name} httpx, 1", "meshlib/asyncio/1", "httpx stack+sniffio/asyncio/1", 0.2)
    yield Bar(
        text="composed by hand - aiohttp, 32 (for scale)",
        cells=("aiohttp stack/asyncio/32", "aiohttp/asyncio/32"),
        measure=lambda stack, bare: stack["cpu"] - bare["cpu"],
        unit="us",
    )
    yield _ratio(
        "httpx on async_transport() / httpx, 1", "httpx on mesh/asyncio/1", "httpx+sniffio/asyncio/1", 0.45
    )
    yield _ratio(
        "httpx2 on async_transport() / httpx2, 32", "httpx2 on mesh/asyncio/32", "httpx2/asyncio/32", 0.35
    )


def _sync() -> Iterator[Bar]:
    yield _ratio("Client / httpx.Client, 1 thread", "meshlib/threads/1", "httpx/threads/1", 0.4)
    yield _ratio("Client / urllib3, 1 thread", "meshlib/threads/1", "urllib3/threads/1", 0.65)
    yield Bar(
        text="throughput of Client, 16 threads / 1",
        cells=("meshlib/threads/16", "meshlib/threads/1"),
        measure=lambda many, one: many["rate"] / one["rate"],
        bar=1.0,
        at_least=True,
    )
    yield _ratio(
        "throughput of urllib3, 16 threads / 1 (for scale)",
        "urllib3/threads/16",
        "urllib3/threads/1",
        None,
        of="rate",
    )


def _layers() -> Iterator[Bar]:
    added = (
        ("policies - no policies, no telemetry", "policies - off", 5.0),
        ("own counters, without an SDK", "everything - policies", 1.0),
        ("real SDK, unsampled", "unsampled SDK - everything", 12.0),
        ("real SDK, http.client.request.duration", "metrics SDK - everything", 10.0),
        ("real SDK, sampled, batch, all threads", "sampled SDK - everything", 50.0),
    )
    for text, pair, bar in added:
        for many in (1, 32):
            yield Bar(
                text=f"{text}, {many}",
                cells=(f"layers/asyncio/{many}",),
                measure=lambda own, pair=pair: own["added"][pair],
                bar=bar,
                unit="us",
            )


def _fleet() -> Iterator[Bar]:
    yield _ratio("1,000 warm endpoints / 1", "meshlib/asyncio/1/n1000", "meshlib/asyncio/1/n1", 1.1)
    yield _ratio(
        "httpx, 100 hosts / 1 (for scale)", "httpx+sniffio/asyncio/1/n100", "httpx+sniffio/asyncio/1", None
    )


def _bodies() -> Iterator[Bar]:
    for many in (1, 32):
        where = f"asyncio/{many}/16k"
        yield _ratio(f"16 KiB, AsyncClient / aiohttp, {many}", f"meshlib/{where}", f"aiohttp/{where}", 1.0)
    for text, of in (("time", "p50"), ("CPU", "cpu")):
        yield _ratio(
            f"1 MiB, {text}, AsyncClient / httpx, 1",
            "meshlib/asyncio/1/1m",
            "httpx+sniffio/asyncio/1/1m",
            1.0,
            of=of,
        )
    for loop in ("asyncio", "threads"):
        yield Bar(
            text=f"1 GiB streamed, memory held, {loop}",
            cells=(f"meshlib/{loop}/1/1g",),
            measure=lambda own: own["held"],
            bar=8.0,
            unit="MiB",
        )


def _sidecar() -> Iterator[Bar]:
    def late(figures: Figures, variant: str) -> float:
        return float(figures["variants"][variant]["p50"] - figures["variants"]["alone"]["p50"])

    cells = ("sidecar/asyncio/1",)
    yield Bar(
        text="p50 added by Envoy (for scale)", cells=cells, measure=lambda own: late(own, "envoy"), unit="us"
    )
    yield Bar(
        text="p50 added by the mesh (for scale)",
        cells=cells,
        measure=lambda own: late(own, "mesh"),
        unit="us",
    )
    yield Bar(
        text="added p50, mesh / Envoy",
        cells=cells,
        measure=lambda own: max(0.0, late(own, "mesh")) / late(own, "envoy"),
        bar=1 / 15,
    )
    yield Bar(
        text="CPU of Envoy (for scale)", cells=cells, measure=lambda own: own["envoy"]["cpu"], unit="us"
    )
    yield Bar(
        text="added CPU, mesh / Envoy's own",
        cells=cells,
        measure=lambda own: max(0.0, own["added"]["mesh - alone"]) / own["envoy"]["cpu"],
        bar=1 / 8,
    )
    yield Bar(
        text="memory of Envoy (for scale)", cells=cells, measure=lambda own: own["envoy"]["rss"], unit="MiB"
    )
    for text, other in (
        ("the same without policies", "bare mesh/asyncio/1"),
        ("bare httpx", "httpx/asyncio/1"),
    ):
        yield Bar(
            text=f"memory, process of AsyncClient - of {text}",
            cells=("meshlib/asyncio/1", other),
            measure=lambda own, peer: own["rss"] - peer["rss"],
            bar=10.0,
            unit="MiB",
        )
