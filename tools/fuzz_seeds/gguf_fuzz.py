#!/usr/bin/env python3
"""Seeds for the fuzzer of GGUF headers: small valid files, one with every type of value.

    tools/fuzz_seeds/gguf_fuzz.py DIRECTORY
"""
import pathlib
import struct
import sys

ALIGNMENT = 32
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
SCALARS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f",
           BOOL: "<B", U64: "<Q", I64: "<q", F64: "<d"}
# Format: number, weights in a block, bytes of a block.
FORMATS = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q8_0": (8, 32, 34),
           "q4_k": (12, 256, 144), "q6_k": (14, 256, 210), "bf16": (30, 1, 2)}


def text(value):
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def value(kind, content):
    return text(content) if kind == STRING else struct.pack(SCALARS[kind], content)


def pair(key, kind, content):
    return text(key) + struct.pack("<I", kind) + value(kind, content)


def array(key, kind, contents):
    return (text(key) + struct.pack("<IIQ", ARRAY, kind, len(contents)) +
            b"".join(value(kind, c) for c in contents))


def padded(size):
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def gguf(pairs, tensors):
    """tensors: (name, format, dimensions, innermost first)."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    offset = 0
    for name, form, dimensions in tensors:
        number, weights, block = FORMATS[form]
        header += text(name) + struct.pack("<I", len(dimensions))
        header += struct.pack(f"<{len(dimensions)}Q", *dimensions)
        header += struct.pack("<IQ", number, offset)
        count = 1
        for d in dimensions:
            count *= d
        offset += padded(count // weights * block)
    return header.ljust(padded(len(header)), b"\0") + bytes(offset)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    scalars = [pair(f"scalar.{kind}", kind, 1) for kind in SCALARS]
    arrays = [array(f"array.{kind}", kind, [0, 1]) for kind in SCALARS]
    strings = [pair("general.architecture", STRING, "qwen3moe"),
               array("tokenizer.ggml.tokens", STRING, ["a", "b"])]
    seeds = {
        "empty": gguf([], []),
        "values": gguf(scalars + arrays + strings, []),
        "formats": gguf(strings, [(form, form, (256, 2)) for form in FORMATS]),
        "experts": gguf([pair("general.alignment", U32, ALIGNMENT)] + strings,
                        [("blk.0.ffn_gate_exps.weight", "q4_0", (32, 2, 3)),
                         ("blk.0.ffn_down_exps.weight", "q8_0", (32, 2, 3))]),
    }
    for name, content in seeds.items():
        (out / name).write_bytes(content)


if __name__ == "__main__":
    main()
