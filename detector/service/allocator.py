"""How the C library's allocator treats large pieces of memory."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # from glibc's malloc.h
_KEPT_BYTES = 64 * 1024 * 1024
_LARGEST_HEAP_BYTES = 32 * 1024 * 1024  # the most that glibc takes


def keep_freed_memory() -> None:
    """Let what one fetch took be used again by the next one; to be called before the first thread starts.

    By default glibc gives megabytes back to the system as soon as they are free, and for each fetch the system clears
    them anew: a sixth of the processor time with kafka-python. Other C libraries stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_HEAP_BYTES)
        mallopt(_ARENA_MAX, 1)
