#!/usr/bin/env python3
"""Seeds for the fuzzer of safetensors headers: small valid files, one with every type known here.

    tools/fuzz_seeds/safetensors_fuzz.py DIRECTORY
"""
import json
import pathlib
import struct
import sys

SIZES = {"F32": 4, "F16": 2, "BF16": 2}


def safetensors(tensors, metadata=None):
    """tensors: (name, type, shape)."""
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, kind, shape in tensors:
        size = SIZES[kind]
        for s in shape:
            size *= s
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    content = json.dumps(header, separators=(",", ":")).encode()
    content = content.ljust((len(content) + 7) // 8 * 8)
    return struct.pack("<Q", len(content)) + content + bytes(offset)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    seeds = {
        "none": safetensors([]),
        "types": safetensors([(kind, kind, [2, 3]) for kind in SIZES], {"format": "pt"}),
        "shapes": safetensors([("scalar", "F32", []), ("empty", "F16", [0, 4]),
                               ("row", "BF16", [5]), ("cube", "F32", [2, 2, 2])]),
    }
    for name, content in seeds.items():
        (out / name).write_bytes(content)


if __name__ == "__main__":
    main()
