"""Packs the weights of a float32 directory as quantized Hugging Face directories do, and decodes such
directories by definition: the witness of what the converter makes of them.

    pack(kind, source, target)   kinds: see PACKERS; writes target/
    decoded(folder)              name -> float32, every packed matrix as an ordinary one

The decoders index single numbers as the formats are described, and share nothing with the packers but
the tables.
"""

import json
import shutil

import numpy as np
import safetensors
from safetensors.numpy import load_file

FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
AWQ_COLUMNS = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight columns nibble i of a word holds


def fp8_table():
    """The value of each byte, E4M3 without infinities: NaN at 0x7F and 0xFF."""
    values = []
    for byte in range(256):
        exponent, mantissa = byte >> 3 & 15, byte & 7
        value = mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        if byte & 127 == 127:
            value = np.nan
        values.append(-value if byte & 128 else value)
    return np.array(values, np.float32)


FP8 = fp8_table()


def is_linear(name):
    return name.endswith(("_proj.weight", ".w1.weight", ".w2.weight", ".w3.weight"))


# --- Packing: (name of the matrix, float32 [rows, cols]) -> {name: (dtype, array)}


def to_fp8(x):
    magnitudes = FP8[:127]
    nearest = np.abs(np.abs(x)[..., None] - magnitudes).argmin(axis=-1).astype(np.uint8)
    return nearest | (np.signbit(x).astype(np.uint8) << 7)


def pack_fp8(name, x, block):
    rows, cols = x.shape
    shape = (-(-rows // block[0]), -(-cols // block[1]))
    scales = np.zeros(shape, np.float32)
    codes = np.zeros(x.shape, np.uint8)
    for i in range(shape[0]):
        for j in range(shape[1]):
            part = np.s_[i * block[0]:(i + 1) * block[0], j * block[1]:(j + 1) * block[1]]
            scales[i, j] = np.abs(x[part]).max() / 448
            codes[part] = to_fp8(x[part] / scales[i, j])
    return codes, scales


def pack_fp8_blocks(name, x):
    codes, scales = pack_fp8(name, x, (128, 128))
    return {name: ("float8_e4m3fn", codes), name + "_scale_inv": ("float32", scales)}


def pack_fp8_channels(name, x):
    codes, scales = pack_fp8(name, x, (1, x.shape[1]))
    return {name: ("float8_e4m3fn", codes), name + "_scale": ("float32", scales)}


def int4(x, group, symmetric):
    """-> codes [rows, cols] of 0..15, scales and zeros [rows, cols / group]."""
    blocks = x.reshape(x.shape[0], -1, group)
    if symmetric:
        scales = (np.abs(blocks).max(axis=-1) / 7).astype(np.float16)
        zeros = np.full(scales.shape, 8)
    else:
        low, high = blocks.min(axis=-1), blocks.max(axis=-1)
        scales = ((high - low) / 15).astype(np.float16)
        zeros = np.clip(np.round(-low / scales.astype(np.float32)), 1, 15).astype(int)
    codes = np.round(blocks / scales.astype(np.float32)[..., None]) + zeros[..., None]
    return np.clip(codes, 0, 15).astype(np.uint32).reshape(x.shape), scales, zeros.astype(np.uint32)


def words(codes, axis, places=range(8)):
    """Eight codes along an axis as the nibbles of a word, lowest first, in the order of `places`."""
    codes = np.moveaxis(codes, axis, -1)
    codes = codes.reshape(*codes.shape[:-1], -1, 8)
    packed = sum(codes[..., place] << np.uint32(4 * i) for i, place in enumerate(places))
    return np.ascontiguousarray(np.moveaxis(packed.astype(np.uint32).view(np.int32), -1, axis))


def pack_gptq(name, x, symmetric=True, act_order=False):
    stem, group, cols = name.removesuffix("weight"), 32, x.shape[1]
    # With act-order, the columns of a group are anywhere.
    order = np.argsort(-np.abs(x).sum(axis=0), kind="stable") if act_order else np.arange(cols)
    codes, scales, zeros = int4(np.ascontiguousarray(x[:, order]), group, symmetric)
    places = np.empty(cols, int)
    places[order] = np.arange(cols)
    return {
        stem + "qweight": ("int32", words(np.ascontiguousarray(codes[:, places].T), 0)),
        stem + "qzeros": ("int32", words(np.ascontiguousarray(zeros.T) - np.uint32(1), 1)),
        stem + "scales": ("float16", np.ascontiguousarray(scales.T)),
        stem + "g_idx": ("int32", (places // group).astype(np.int32)),
    }


def pack_awq(name, x):
    stem = name.removesuffix("weight")
    codes, scales, zeros = int4(x, 32, symmetric=False)
    return {
        stem + "qweight": ("int32", words(np.ascontiguousarray(codes.T), 1, AWQ_COLUMNS)),
        stem + "qzeros": ("int32", words(np.ascontiguousarray(zeros.T), 1, AWQ_COLUMNS)),
        stem + "scales": ("float16", np.ascontiguousarray(scales.T)),
    }


def pack_mxfp4(name, x):
    """gpt-oss: [experts, in, out] becomes blocks and scales along `in` of [experts, out, in]."""
    blocks = np.ascontiguousarray(x.swapaxes(1, 2)).reshape(x.shape[0], x.shape[2], -1, 32)
    exponents = np.floor(np.log2(np.abs(blocks).max(axis=-1))).astype(int) - 2
    scaled = blocks / (2.0 ** exponents[..., None])
    codes = np.abs(scaled[..., None] - FP4).argmin(axis=-1).astype(np.uint8)
    return {
        name + "_blocks": ("uint8", np.ascontiguousarray(codes[..., 0::2] | codes[..., 1::2] << 4)),
        name + "_scales": ("uint8", (exponents + 127).astype(np.uint8)),
    }


def config_of(method, **more):
    return {"quant_method": method, **more}


# kind -> (which matrices, how, quantization_config)
GPTQ = {"bits": 4, "group_size": 32, "desc_act": False, "sym": True}
PACKERS = {
    "fp8": (is_linear, pack_fp8_blocks, config_of("fp8", fmt="e4m3", weight_block_size=[128, 128])),
    "fp8-channel": (is_linear, pack_fp8_channels, config_of("fp8", fmt="e4m3")),
    "gptq": (is_linear, pack_gptq, config_of("gptq", **GPTQ)),
    "gptq-act": (is_linear, lambda name, x: pack_gptq(name, x, symmetric=False, act_order=True),
                 config_of("gptq", **GPTQ | {"desc_act": True, "sym": False})),
    "awq": (is_linear, pack_awq, config_of("awq", bits=4, group_size=32, version="gemm", zero_point=True)),
    "mxfp4": (lambda name: name.endswith(("experts.gate_up_proj", "experts.down_proj")), pack_mxfp4,
              config_of("mxfp4")),
}


def save(path, tensors):
    specs = {name: safetensors.TensorSpec(dtype=dtype, shape=x.shape, data_ptr=x.ctypes.data, data_len=x.nbytes)
             for name, (dtype, x) in tensors.items()}
    safetensors.serialize_file(specs, str(path), metadata={"format": "pt"})


def write(source, target, tensors, config):
    shutil.copytree(source, target)
    save(target / "model.safetensors", tensors)
    settings = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(settings | config))


def pack(kind, source, target):
    chosen, packer, config = PACKERS[kind]
    tensors = {}
    for name, x in load_file(source / "model.safetensors").items():
        tensors |= packer(name, x) if chosen(name) else {name: ("float32", x)}
    write(source, target, tensors, {"quantization_config": config})


# --- Decoding


def nibble(word, place):
    return (int(word) & 0xFFFFFFFF) >> (4 * place) & 15


def decode_gptq(qweight, qzeros, scales, g_idx):
    rows, cols = qweight.shape[1], qweight.shape[0] * 8
    out = np.empty((rows, cols), np.float32)
    for k in range(cols):
        group = int(g_idx[k])
        for n in range(rows):
            code, zero = nibble(qweight[k // 8, n], k % 8), nibble(qzeros[group, n // 8], n % 8)
            out[n, k] = np.float32(scales[group, n]) * np.float32(code - (zero + 1))
    return out


def decode_awq(qweight, qzeros, scales):
    rows, cols = qweight.shape[1] * 8, qweight.shape[0]
    group_size = cols // scales.shape[0]
    out = np.empty((rows, cols), np.float32)
    for n in range(rows):
        place = AWQ_COLUMNS.index(n % 8)
        for k in range(cols):
            group = k // group_size
            code, zero = nibble(qweight[k, n // 8], place), nibble(qzeros[group, n // 8], place)
            out[n, k] = np.float32(scales[group, n]) * np.float32(code - zero)
    return out


def decode_fp8(codes, scales, block):
    rows, cols = np.indices(codes.shape)
    return FP8[codes] * scales[rows // block[0], cols // block[1]]


def decode_mxfp4(blocks, scales):
    numbers = np.stack([FP4[blocks & 15], FP4[blocks >> 4]], axis=-1).reshape(*blocks.shape[:3], 32)
    values = numbers * np.exp2(scales.astype(np.float32) - 127)[..., None]
    return values.reshape(*blocks.shape[:2], -1).swapaxes(1, 2)


def raw_tensors(path):
    """Every tensor of a safetensors file; E4M3 as its bytes."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    types = {"F32": np.float32, "F16": np.float16, "I32": np.int32, "U8": np.uint8, "F8_E4M3": np.uint8}
    tensors = {}
    for name, entry in json.loads(content[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(content[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def decoded(folder):
    stored = raw_tensors(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    tensors = {}
    for name, x in stored.items():
        if name.endswith(".qweight"):
            stem = name.removesuffix("qweight")
            parts = [x, stored[stem + "qzeros"], stored[stem + "scales"]]
            gptq = config["quant_method"] == "gptq"
            tensors[stem + "weight"] = decode_gptq(*parts, stored[stem + "g_idx"]) if gptq else decode_awq(*parts)
        elif name.endswith("_blocks"):
            stem = name.removesuffix("_blocks")
            tensors[stem] = decode_mxfp4(x, stored[stem + "_scales"])
        elif name + "_scale_inv" in stored:
            tensors[name] = decode_fp8(x, stored[name + "_scale_inv"], config["weight_block_size"])
        elif name + "_scale" in stored:
            tensors[name] = decode_fp8(x, stored[name + "_scale"], (1, x.shape[1]))
        elif not name.endswith(("qzeros", "scales", "g_idx", "_scale", "_scale_inv", "_scales")):
            tensors[name] = x
    return tensors


def write_decoded(folder, target):
    tensors = {name: ("float32", np.ascontiguousarray(x, np.float32)) for name, x in decoded(folder).items()}
    write(folder, target, tensors, {"quantization_config": None})
