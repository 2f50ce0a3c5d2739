#!/usr/bin/env python3
"""Writes quantizers.safetensors: weights, and what quantizers that are not ours make of them.

    make_quantizer_vectors.py OUT_FILE       (the committed one: tests/golden/quantizers.safetensors)
    make_quantizer_vectors.py FILE --check   exits 1 if FILE is not what this script writes

`weights` [ROWS, COLS] look like a trained matrix: normal, with a scale per row, some columns larger, and
a few outliers. `edges` are blocks that quantizers stumble over. NAME.bytes and NAME.edges are what the
`gguf` package encodes them to, for the formats that are defined by rounding. NAME.error is the root mean
square error that a straightforward search of scales reaches on `weights`, for the formats that leave scales
to choose; a quantizer should not be worse.
"""
import sys

import gguf
import numpy as np
from make_format_vectors import write_or_check
from random_weights import normal, raw_bits

ROWS, COLS = 8, 512
ROUNDED = ("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
TABLE = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float64)
FP4 = np.array([0, 1, 2, 3, 4, 6, 8, 12, -1, -2, -3, -4, -6, -8, -12], np.float64)


def weights():
    x = normal("quantizer/weights", (ROWS, COLS), 0.02)
    x = x * (1 + np.abs(normal("quantizer/rows", (ROWS, 1), 0.7)))
    x = x * (1 + np.abs(normal("quantizer/columns", (1, COLS), 0.2)))
    outliers = raw_bits("quantizer/outliers", ROWS * COLS).reshape(ROWS, COLS) % 400 == 0
    return np.where(outliers, x * np.float32(6), x).astype(np.float32)


def edges():
    ramp = np.arange(32, dtype=np.float32)
    return np.stack([
        np.zeros(32, np.float32),
        np.full(32, -0.75, np.float32),
        np.where(ramp == 7, np.float32(3), np.float32(0)),
        np.where(ramp % 2 == 0, np.float32(1), np.float32(-1)),
        ramp - np.float32(31),
        ramp * np.float32(1e-7),
        (ramp - 15) * np.float32(1e3),
        np.where(ramp < 16, np.float32(-8), np.float32(8)),
    ])


def f16(x):
    return np.asarray(x).astype(np.float16).astype(np.float64)


def best_of(x, tries):
    """The last axis of x against (values decoded for each try): the least squared error of each row."""
    return np.min(np.stack([((x - y) ** 2).sum(axis=-1) for y in tries]), axis=0)


def codes(x, values):
    values = np.sort(values)
    return values[np.abs(x[..., None] - values).argmin(axis=-1)]


def symmetric_error(x, count, values, scale_levels):
    """Sub-blocks of `count` with the best of 40 scales each; scales are then rounded to integers times one
    f16 scale per block of 256, to `scale_levels` to each side."""
    sub = x.reshape(-1, 256 // count, count).astype(np.float64)
    largest = np.abs(sub).max(axis=-1)
    best, scale = np.full(largest.shape, np.inf), np.zeros(largest.shape)
    for part in np.linspace(0.6, 1.15, 40):
        for end in (values.min(), values.max()):
            s = part * largest / end
            error = ((sub - s[..., None] * codes(sub / s[..., None], values)) ** 2).sum(axis=-1)
            scale, best = np.where(error < best, s, scale), np.minimum(error, best)
    d = f16(np.abs(scale).max(axis=-1, keepdims=True) / scale_levels)
    scale = np.round(scale / d) * d
    safe = np.where(scale == 0, 1, scale)[..., None]
    return rms(sub - scale[..., None] * codes(sub / safe, values))


def minimum_error(x, count, highest, levels):
    """The same for scales with minima: both ends of the range are moved inwards, the best pair stays."""
    sub = x.reshape(-1, 256 // count, count).astype(np.float64)
    low, high = np.minimum(sub.min(axis=-1), 0), sub.max(axis=-1)
    best, scale, least = np.full(low.shape, np.inf), np.zeros(low.shape), np.zeros(low.shape)
    for a in np.linspace(0.7, 1.0, 8):
        for b in np.linspace(0.7, 1.0, 8):
            s, m = (b * high - a * low) / highest, -a * low
            q = np.clip(np.round((sub + m[..., None]) / s[..., None]), 0, highest)
            error = ((sub - (s[..., None] * q - m[..., None])) ** 2).sum(axis=-1)
            better = error < best
            scale, least, best = np.where(better, s, scale), np.where(better, m, least), np.minimum(error, best)
    d, dmin = (f16(v.max(axis=-1, keepdims=True) / levels) for v in (scale, least))
    scale, least = np.round(scale / d) * d, np.round(least / dmin) * dmin
    safe = np.where(scale == 0, 1, scale)[..., None]
    q = np.clip(np.round((sub + least[..., None]) / safe), 0, highest)
    return rms(sub - (scale[..., None] * q - least[..., None]))


def table_error(x):
    """IQ4_NL: the best of 80 f16 scales per 32."""
    sub = x.reshape(-1, 32).astype(np.float64)
    largest = np.abs(sub).max(axis=-1, keepdims=True)
    tries = []
    for part in np.linspace(0.6, 1.15, 40):
        for end in (-127, 113):
            d = f16(part * largest / end)
            tries.append(d * codes(sub / d, TABLE))
    return np.sqrt(best_of(sub, tries).mean() / 32)


def fp4_error(x):
    """MXFP4: the best of three exponents per 32."""
    sub = x.reshape(-1, 32).astype(np.float64)
    exponent = np.floor(np.log2(np.abs(sub).max(axis=-1, keepdims=True)))
    tries = [2.0 ** (exponent + e) * codes(sub / 2.0 ** (exponent + e), FP4) for e in (-4, -3, -2)]
    return np.sqrt(best_of(sub, tries).mean() / 32)


def rms(error):
    return np.sqrt((error**2).mean())


def vectors():
    x, edge = weights(), edges()
    tensors = {"weights": x, "edges": edge}
    for name in ROUNDED:
        kind = gguf.GGMLQuantizationType[name]
        for suffix, values in (("bytes", x), ("edges", edge)):
            with np.errstate(all="ignore"):
                stored = gguf.quants.quantize(values, kind)
            tensors[f"{name}.{suffix}"] = np.ascontiguousarray(stored).view(np.uint8).reshape(-1)
    errors = {
        "Q2_K": minimum_error(x, 16, 3, 15),
        "Q3_K": symmetric_error(x, 16, np.arange(-4.0, 4.0), 31),
        "Q4_K": minimum_error(x, 32, 15, 63),
        "Q5_K": minimum_error(x, 32, 31, 63),
        "Q6_K": symmetric_error(x, 16, np.arange(-32.0, 32.0), 127),
        "IQ4_NL": table_error(x),
        "IQ4_XS": symmetric_error(x, 32, TABLE, 31),
        "MXFP4": fp4_error(x),
    }
    # Rounded up a little, so that numpy's version cannot show.
    return tensors | {f"{name}.error": np.array([float(f"{1.0001 * error:.3e}")], np.float32)
                      for name, error in errors.items()}


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, vectors(), "quantizer vectors"))
