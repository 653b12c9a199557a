"""Memory that tensors leave stays with the process, for the tensors of the next step."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of malloc.h
MOST = 2**31 - 1  # bytes: what is free at the end of the heap before any of it is given back
LARGEST = 2**30  # bytes of a tensor whose memory is given back at once


def keep_freed_memory() -> bool:
    """Let glibc keep the memory that is freed; whether the C library has such a switch.

    Otherwise a step's large tensors, which are as large in every step, are given back to the system
    and asked for again, and each of their pages is zeroed and mapped anew: 3 to 6 % of a step on a
    virtual machine (docs/LOG.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return all([mallopt(TRIM_THRESHOLD, MOST), mallopt(MMAP_THRESHOLD, LARGEST)])
