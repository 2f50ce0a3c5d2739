"""Random numbers for checkpoints: the same for the same key for ever, on every machine."""

import hashlib
import math

import numpy as np


def raw_bits(key, count):
    """count random uint64, the same for the same key for ever."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return np.random.PCG64(seed).random_raw(count)


def normal(key, shape, std, mean=0.0):
    """Nearly normal float32: the sum of four 16-bit integers (exact), scaled."""
    quarters = raw_bits(key, math.prod(shape)).view(np.uint16).reshape(-1, 4)
    total = quarters.sum(axis=1, dtype=np.int32) - 2 * 65535
    unit = 1.0 / math.sqrt((65536.0**2 - 1.0) / 3.0)  # variance of the sum is 4 (65536^2 - 1) / 12
    values = total.astype(np.float32) * np.float32(std * unit)
    return (values + np.float32(mean)).reshape(shape)


def integers(key, count, low, high):
    """count integers in [low, high], as uint8 arithmetic needs them (high - low < 2^16)."""
    bits = raw_bits(key, -(-count // 4)).view(np.uint16)[:count].astype(np.int64)
    return low + (bits * (high - low + 1) >> 16)


def to_bf16_bits(x):
    """float32 -> the upper 16 bits, rounded to nearest even. Finite input only."""
    bits = x.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
