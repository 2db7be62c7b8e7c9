"""What the C library does with memory that is free."""

import platform
import subprocess
import sys

import pytest

_COUNT = """
import resource, sys, threading
from detector.service.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(50):
        pieces = [b"x" * 2**20 for _ in range(4)]
def measured():
    work()
    before = faults()
    work()
    print(faults() - before)
thread = threading.Thread(target=measured)  # as the client's own is
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_memory_is_used_again_without_the_system():
    """Fifty fetches' worth of memory, taken and given back: the pages stay where they are."""
    faults = {
        way: int(subprocess.run([sys.executable, "-c", _COUNT, way], check=True, capture_output=True, text=True).stdout)
        for way in ("given-back", "kept")
    }
    assert faults["kept"] < faults["given-back"] / 20
