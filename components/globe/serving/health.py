"""Whether a server answers yet."""

import urllib.request
from urllib.error import URLError

TIMEOUT_S = 5.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # servers of a run are never behind a proxy


def is_ready(url: str) -> bool:
    """Ask a server for its health.

    Args:
        url: Its base URL, which ends in /v1.

    Returns:
        True when it says that it can be asked.
    """
    try:
        with _OPENER.open(url.removesuffix("/v1") + "/health", timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False
