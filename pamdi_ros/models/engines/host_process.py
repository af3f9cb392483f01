# SPDX-License-Identifier: Apache-2.0
"""What this process holds in memory, what it can give back, and how it computes small numbers."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import ctypes
import os
import platform

import psutil

_PAGE_BYTES = 4096

#: Flags of a processor that take denormal numbers for zero: where they lie in C's fenv_t, as
#: (32-bit word, bits). On x86-64 DAZ and FTZ of MXCSR, on Arm FZ of FPCR.
_FLUSH_FLAGS = {'x86_64': (7, 0x8040), 'aarch64': (0, 1 << 24)}
_FLUSH = _FLUSH_FLAGS.get(platform.machine())
_LIBM = ctypes.CDLL('libm.so.6')
#: Room for C's fenv_t, which is 32 bytes on x86-64 and 8 on Arm.
_Environment = ctypes.c_uint32 * 16


def resident_bytes() -> int:
    """Return the process's resident memory, after what is free was given back [byte]."""
    library = ctypes.CDLL(None)
    if hasattr(library, 'malloc_trim'):  # glibc: freed weights would stay with the process
        library.malloc_trim(0)
    with open('/proc/self/statm', encoding='ascii') as numbers:
        return int(numbers.read().split()[1]) * _PAGE_BYTES


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Have this thread take denormal numbers for zero meanwhile, and then as before.

    Seeded networks are full of them, and each costs a processor some hundred cycles. What else
    this thread computes, on torch or in a user's process, must not change.
    """
    before = _Environment()
    _LIBM.fegetenv(before)
    if _FLUSH is not None:
        word, bits = _FLUSH
        flushing = _Environment(*before)
        flushing[word] |= bits
        _LIBM.fesetenv(flushing)
    try:
        yield
    finally:
        _LIBM.fesetenv(before)


def default_threads() -> int:
    """Return how many threads an operation gets: one for each core that this process may use."""
    return min(len(os.sched_getaffinity(0)), psutil.cpu_count(logical=False) or 1)
