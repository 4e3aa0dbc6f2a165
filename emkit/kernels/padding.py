"""Arrays as the kernels like them: rows padded to whole vectors, at addresses that vectors do not straddle."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

VECTOR_BYTES = 32
CACHE_LINE = 64


def padded_width(n: int, dtype: DTypeLike) -> int:
    """`n` rounded up to whole vectors."""
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    return -(-n // lanes) * lanes


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Zeros that begin with a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + CACHE_LINE, dtype=np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size].view(dtype).reshape(shape)


def padded(array: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """A copy with its last axis padded with zeros to whole vectors."""
    n = array.shape[-1]
    copy = aligned_zeros((*array.shape[:-1], padded_width(n, dtype)), dtype)
    copy[..., :n] = array
    return copy
