"""What torch allocates on the CPU, by its own allocator."""

from collections.abc import Callable


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that some work has allocated at once, beyond what was there before."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # each thread more has scratch memory of its own
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            work()
    finally:
        torch.set_num_threads(threads)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most
