"""What Python code allocates, by Python's own allocator."""

import tracemalloc
from collections.abc import Callable


def traced_peak_bytes(work: Callable[[], object], runs: int = 1) -> int:
    """The most bytes that some work has allocated at once, beyond what was there before.

    Of several runs the least counts: what else this process does meanwhile, in threads of the tests' runner or of what an
    earlier test has started, only adds to it. That is some kilobytes, which matter where the work takes no more itself.
    """
    peaks = []
    for _ in range(runs):
        tracemalloc.start()
        try:
            work()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)
