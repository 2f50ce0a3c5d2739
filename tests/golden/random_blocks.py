"""Random blocks of the formats that no Python package encodes: the blocks come first, and the weights are what
they decode to. Each function: (key, shape of the weights, their standard deviation) -> bytes [..., row bytes].
"""

import math

import numpy as np
from random_weights import integers, raw_bits


def scales_near(key, count, value):
    """count fp16 numbers within 25 % of value, as bytes [count, 2]."""
    factor = integers(key, count, 768, 1280).astype(np.float32) / np.float32(1024)
    return (factor * np.float32(value)).astype(np.float16).view(np.uint8).reshape(count, 2)


def random_bytes(key, blocks, each):
    return raw_bits(key, blocks * each // 8).view(np.uint8).reshape(blocks, each)


def signed(scales, key):
    """fp16 scales, about half of them negative."""
    sign = (integers(key, len(scales), 0, 1) << 7).astype(np.uint8)
    return np.stack([scales[:, 0], scales[:, 1] | sign], axis=1)


def as_rows(blocks, shape):
    return blocks.reshape(*shape[:-1], -1)


def scales_and_mins(key, n, d_value, mean):
    """d, dmin and the 6-bit scales of n blocks of Q4_K or Q5_K: d * sc * q - dmin * m, q near `mean`."""
    sc = integers(key + "/sc", n * 8, 16, 63).reshape(n, 8)
    # m follows sc, and dmin is d times q's mean, so that every sub-block has a mean near zero.
    m = np.clip(sc + integers(key + "/m", n * 8, -4, 4).reshape(n, 8), 0, 63)
    factor = scales_near(key + "/d", n, d_value)
    d = factor.view(np.float16).astype(np.float32)
    dmin = (d * np.float32(mean)).astype(np.float16).view(np.uint8)
    low, high = (sc[:, :4], m[:, :4]), (sc[:, 4:], m[:, 4:])
    packed = np.concatenate(
        [
            low[0] | (high[0] >> 4) << 6,
            low[1] | (high[1] >> 4) << 6,
            (high[0] & 15) | (high[1] & 15) << 4,
        ],
        axis=1,
    ).astype(np.uint8)
    return [factor, dmin, packed]


def random_q4_k(key, shape, std):
    """q uniform in 0..15: mean 7.5, std 4.61; 42 is the rms of sc."""
    n = math.prod(shape) // 256
    scales = scales_and_mins(key, n, std / (4.61 * 42.0), 7.5)
    return as_rows(np.concatenate([*scales, random_bytes(key + "/q", n, 128)], axis=1), shape)


def random_q5_k(key, shape, std):
    """q uniform in 0..31: mean 15.5, std 9.23."""
    n = math.prod(shape) // 256
    scales = scales_and_mins(key, n, std / (9.23 * 42.0), 15.5)
    return as_rows(np.concatenate([*scales, random_bytes(key + "/q", n, 160)], axis=1), shape)


def random_q6_k(key, shape, std):
    """d * sc * (q - 32), q uniform in 0..63 (std 18.5), sc of both signs."""
    n = math.prod(shape) // 256
    sc = integers(key + "/sc", n * 16, 32, 127)
    sign = 1 - 2 * integers(key + "/sign", n * 16, 0, 1)
    sc = (sc * sign).astype(np.int8).view(np.uint8).reshape(n, 16)
    d = scales_near(key + "/d", n, std / (18.5 * 84.0))  # 84: rms of sc; d is often subnormal
    return as_rows(np.concatenate([random_bytes(key + "/q", n, 192), sc, d], axis=1), shape)


def random_iq4_nl(key, shape, std):
    """d of both signs times one of sixteen numbers, whose rms is 69."""
    n = math.prod(shape) // 32
    d = signed(scales_near(key + "/d", n, std / 69.0), key + "/sign")
    return as_rows(np.concatenate([d, random_bytes(key + "/q", n, 16)], axis=1), shape)


def random_mxfp4(key, shape, std):
    """A power of two times one of the FP4 numbers, whose rms is 2.93."""
    n = math.prod(shape) // 32
    exponent = 127 + round(math.log2(std / 2.93))
    exponents = integers(key + "/e", n, exponent - 1, exponent).astype(np.uint8).reshape(n, 1)
    return as_rows(np.concatenate([exponents, random_bytes(key + "/q", n, 16)], axis=1), shape)


RANDOM_BLOCKS = {
    "Q4_K": random_q4_k,
    "Q5_K": random_q5_k,
    "Q6_K": random_q6_k,
    "IQ4_NL": random_iq4_nl,
    "MXFP4": random_mxfp4,
}
