"""Keeping freed memory for the next training step, where the C library allows it."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
MMAP_THRESHOLD = 32 * 2**20
"""Bytes: the highest that glibc takes, above any activation of the default size."""
TRIM_THRESHOLD = 2**31 - 1
"""Bytes: never give the top of the heap back."""


def keep_freed_memory() -> bool:
    """Tell glibc's malloc not to return freed blocks to the kernel during this process.

    A training step on the CPU frees and takes the same large blocks again and again; by default
    each is unmapped and faulted in anew.

    Returns:
        Whether it was done; elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    settings = ((M_MMAP_THRESHOLD, MMAP_THRESHOLD), (M_TRIM_THRESHOLD, TRIM_THRESHOLD))
    return all([mallopt(option, value) == 1 for option, value in settings])
