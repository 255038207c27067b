"""Keeping freed memory, so that a training step does not pay for fresh pages again and again.

A step over long texts frees and takes hundreds of megabytes in blocks that glibc gives back to
the system each time; the system then hands them out anew, cleared, page by page. On a CPU that
costs the fused LSTM a third of its training time. Prediction does without: its tokenizer's threads
would wait for each other, since all threads then take their memory from one place.

What oneDNN keeps for the shapes of earlier batches lies between those blocks, so that no hole fits
the next one, and memory grows: after 60 steps of IMDB's reviews, with one thread, 3.0 GB instead of
1.9. It is told to keep little, except on AVX-512, where it compiles kernels for each shape.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys

from textlstm.nn.cpu import cpu_flags

# From glibc's malloc.h; see mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_NEVER = 2**31 - 1

_CACHE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"  # read when oneDNN first computes
_PRIMITIVES = 6  # more keep more memory apart: with 24, 2.4 GB after 30 steps


def release_excess() -> None:
    """Return unused memory between blocks in use to the system; a no-op without glibc.

    Call it now and then, such as once an epoch, where `keep_freed_memory` is in force, or where
    several threads compute for long.
    """
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


@functools.lru_cache(maxsize=1)
def _is_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


@functools.lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Make the C library keep the memory that this process frees for its next use.

    The command line calls it before training; in Python, call it yourself, before NumPy is
    imported: it starts threads, and each thread that has begun before may have memory of its own,
    which is not kept. It holds for the whole process until its end. Batches should then come in
    few shapes: see `textlstm.data.encoded.collate` and `release_excess`.

    Returns:
        Whether it was done: True with glibc on Linux, False elsewhere.
    """
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # the memory of threads that begin later would be in arenas, which ignore the threshold
    options = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_ARENA_MAX, 1))
    if "avx512f" not in cpu_flags():
        os.environ.setdefault(_CACHE, str(_PRIMITIVES))
    return all(bool(mallopt(*option)) for option in options)
