"""What a copy of a picture costs the kernel, in a process of its own."""

import platform
import subprocess
import sys

import pytest

COPIES, MEGABYTES = 50, 4
SCRIPT = (
    "import resource, sys\nfrom globe.gateway.allocator import keep_memory\n"
    "kept = keep_memory() if sys.argv[1] == 'kept' else None\n"
    f"def copy(): return b'x' * ({MEGABYTES} << 20)\n"
    "copy()\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
    f"for _ in range({COPIES}): copy()\n"
    "print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's setting")
def test_blocks_of_a_pictures_size_are_not_fetched_from_the_kernel_each_time():
    def faults(how: str) -> tuple[str, int]:
        done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
        kept, count = done.stdout.split()
        return kept, int(count)

    assert faults("kept")[0] == "True"
    assert faults("kept")[1] * 20 < faults("as ever")[1]
