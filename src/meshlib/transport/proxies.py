"""Environment proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), for hosts that are passed through and for no other.

httpx drops them as soon as a transport is given, and a proxy in front of a balanced service would undo the balancing.
"""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

__all__ = ["proxy_for"]


def proxy_for(passed: tuple[str, str] | None, trust_env: bool) -> str | None:
    """The proxy URL for a passed-through (scheme, host), None for everything else."""
    if passed is None or not trust_env:
        return None
    scheme, host = passed
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if not found or proxy_bypass(host):
        return None
    return found if "://" in found else f"http://{found}"
