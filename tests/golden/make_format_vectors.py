#!/usr/bin/env python3
"""Writes formats.safetensors: blocks of every weight format and what the `gguf` package decodes.

    make_format_vectors.py OUT_FILE            (the committed one: tests/golden/formats.safetensors)
    make_format_vectors.py FILE --check        exits 1 if FILE is not what this script writes

Random bytes are valid blocks; every block's 16-bit scales then get each of a list of edge values
(zero, subnormal, largest, infinite, NaN, negative) or a sane one.
"""
import argparse
import pathlib
import sys

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

BLOCKS = 48
# format -> byte offsets of the f16 fields of a block
SCALES = {"F16": [0], "BF16": [0], "Q8_0": [0], "Q4_0": [0], "Q4_K": [0, 2], "Q6_K": [208],
          "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "IQ4_NL": [0], "MXFP4": [], "Q2_K": [80, 82],
          "Q3_K": [108], "Q5_K": [0, 2], "IQ4_XS": [0]}
# The same for scales that are an 8-bit exponent: the first blocks get these.
EXPONENTS = {"MXFP4": 0}
EDGE_EXPONENTS = [0, 1, 2, 3, 127, 128, 252, 253, 254, 255]
EDGES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E01]


def vectors():
    tensors = {}
    for name, offsets in SCALES.items():
        kind = getattr(gguf.GGMLQuantizationType, name)
        _, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        bits = np.random.PCG64(gguf.GGMLQuantizationType[name].value).random_raw(BLOCKS * block_bytes)
        blocks = (bits & 0xFF).astype(np.uint8).reshape(BLOCKS, block_bytes)
        for block in range(BLOCKS):
            for offset in offsets:
                sane = 0x2000 + 37 * block
                value = EDGES[block] if block < len(EDGES) else sane
                blocks[block, offset:offset + 2] = [value & 0xFF, value >> 8]
        if name in EXPONENTS:
            blocks[:len(EDGE_EXPONENTS), EXPONENTS[name]] = EDGE_EXPONENTS
        with np.errstate(all="ignore"):
            values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        tensors[f"{name}.bytes"] = blocks.reshape(-1)
        tensors[f"{name}.values"] = np.ascontiguousarray(values.reshape(-1))
    return tensors


def write_or_check(description, tensors, what):
    """The command line of such a script; the exit status."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if not arguments.check:
        save_file(tensors, arguments.file)
        arguments.file.chmod(0o644)
        return 0
    committed = load_file(arguments.file)
    same = committed.keys() == tensors.keys() and all(
        committed[key].tobytes() == tensors[key].tobytes() for key in tensors)
    print(f"{what}: " + ("as committed" if same else "DIFFERENT from the committed ones"))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, vectors(), "format vectors"))
