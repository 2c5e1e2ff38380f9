"""request > route > [cluster] > resilience > balancing > transport > feedback

The world as the control path meets it: clocks, files, name servers, small HTTP requests, the one background thread,
and what becomes of all that in a forked child. Everything above receives it as a `core.io.IO`.
"""
