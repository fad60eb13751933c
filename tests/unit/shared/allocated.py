"""What torch allocates on the CPU, by its own allocator."""

from collections.abc import Callable


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that some work has allocated at once, beyond what was there before."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most
