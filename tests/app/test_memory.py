"""Memory that was used and freed does not stay with the process."""

import subprocess
import sys

import pytest

HELD = """
import ctypes, os, threading
import pyarrow as pa
from lakehouse.app.memory import give_back_freed, share_one_allocator
from tests.support.processes import memory_of

share_one_allocator()
kept = []

def use():
    for _ in range(1_000):
        used = pa.allocate_buffer(2**16)
        ctypes.memset(used.address, 1, used.size)
        kept.append((used, pa.allocate_buffer(64)))  # the small ones lie between

before = memory_of(os.getpid())
for _ in range(4):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
kept = [small for _, small in kept]
give_back_freed()
print(memory_of(os.getpid()) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory, glibc gives it back")
def test_what_threads_have_freed_is_given_back_to_the_system():
    told = subprocess.run(
        [sys.executable, "-c", HELD], check=True, capture_output=True, text=True, timeout=60
    )
    assert float(told.stdout) < 60, "MB of the 250 that were used"
