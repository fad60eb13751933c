"""The header by which a server says when to ask it again (RFC 9110, section 10.2.3)."""

from email.utils import parsedate_to_datetime
from time import time


def retry_after_s(header: str) -> float | None:
    """The seconds in a header Retry-After, which holds a number or a date; None if it holds neither."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None
