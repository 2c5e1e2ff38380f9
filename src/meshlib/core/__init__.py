"""[request] > route > cluster > resilience > balancing > transport > feedback

The nouns every other package speaks of, and the contracts that extension points implement.
Nothing here waits, reads a clock, draws a random number or touches the world.
"""
