"""The driver's memory: what it has freed goes back to the system, so a long run does not grow."""

import ctypes
import os
from contextlib import suppress

import pyarrow as pa


def share_one_allocator() -> None:
    """Let pyarrow allocate by the C library, unless the environment names another pool.

    Pyarrow's own allocator keeps what each thread has freed, for that thread.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())


def give_back_freed() -> None:
    """Give freed memory back to the system, where the C library can: glibc's alone keeps it."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
