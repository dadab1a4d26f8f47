"""Who may open a websocket: the app's own pages, programs, and origins that were allowed.

Browsers let any page open a websocket to any host and send its cookies along; the ``Origin`` header,
which a page cannot forge, is what tells a foreign page from our own. Programs send none.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a websocket request with these headers may be accepted."""
    if origin is None:
        return True
    if origin in allowed:
        return True
    return bool(host) and urlsplit(origin).netloc.lower() == (host or "").lower()
