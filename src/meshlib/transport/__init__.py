"""request > route > cluster > resilience > balancing > [transport] > feedback

How an attempt travels. A transport sends one attempt to one node within its time; it never picks, retries or sleeps.
Clients and transports for httpx live here, one binding object standing for the client family.
"""
