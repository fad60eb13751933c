"""How this process gets its memory: a picture's copies of 3 and 4 MB come from what it has, not each time from the kernel.

glibc maps such a block anew for each use and gives it back at once, so that the kernel has to clear a thousand pages for each:
25 of the 54 ms of CPU that a picture of a megapixel took. With other C libraries nothing is changed.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 128 * 2**20
"""Unused memory at the heap's end that is not given back."""
MAPPED_FROM_BYTES = 32 * 2**20
"""Larger blocks are mapped, as before; glibc takes no larger threshold."""


def keep_memory() -> bool:
    """Have the C library keep memory between pictures; whether it does."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    return bool(mallopt(MMAP_THRESHOLD, MAPPED_FROM_BYTES) and mallopt(TRIM_THRESHOLD, KEPT_BYTES))
