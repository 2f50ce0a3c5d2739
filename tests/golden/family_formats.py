"""Which checkpoints of the families of more_families.py there are, and the formats of their matrices.

Formats with blocks of 256 need wider models than the others: `NAME-wide`, of the same family.
"""

from dataclasses import dataclass

import gguf
import numpy as np
from family import Family
from gguf import GGMLQuantizationType as QType
from gguf import LlamaFileType as FileType
from more_families import FAMILIES
from random_blocks import RANDOM_BLOCKS
from random_weights import normal, to_bf16_bits

FILE_TYPES = {
    "f32": FileType.ALL_F32,
    "f16": FileType.MOSTLY_F16,
    "bf16": FileType.MOSTLY_BF16,
    "q8_0": FileType.MOSTLY_Q8_0,
    "q4_0": FileType.MOSTLY_Q4_0,
    "iq4_nl": FileType.MOSTLY_IQ4_NL,
    "mxfp4": FileType.MOSTLY_MXFP4_MOE,
    "q4_k_m": FileType.MOSTLY_Q4_K_M,
    "q5_k": FileType.MOSTLY_Q5_K_S,
    "q6_k": FileType.MOSTLY_Q6_K,
}
FLOATS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
BLOCKS_OF_32 = ("q8_0", "q4_0", "iq4_nl")
BLOCKS_OF_256 = ("q4_k_m", "q5_k", "q6_k")


@dataclass(frozen=True)
class Variant:
    model: Family
    format: str
    kind: str
    encoding: str = ""

    @property
    def stem(self):
        return "-".join(filter(None, (self.model.name, self.encoding, self.format)))

    @property
    def checkpoint(self):
        return self.stem + (".gguf" if self.kind == "gguf" else "")

    @property
    def golden(self):  # of floats nothing is lost in another encoding
        return f"{self.model.name}-{self.format}" if self.format in FLOATS else self.stem


def variants():
    for m in FAMILIES:
        yield Variant(m, "f32", "hf")
        yield from (Variant(m, "f32", "gguf", encoding) for encoding in m.encodings)
        for name in ("bf16", "f16"):
            yield Variant(m, name, "hf")
            yield Variant(m, name, "gguf", m.encodings[-1])
        for name in BLOCKS_OF_32 + (("mxfp4",) if m.name == "gpt-oss" else ()):
            yield Variant(m, name, "gguf")
        yield from (Variant(m, "q8_0", "gguf", encoding) for encoding in m.encodings[1:])
        for name in BLOCKS_OF_256:
            yield Variant(m.wide(), name, "gguf")
        yield from (Variant(m.wide(), "q4_k_m", "gguf", encoding) for encoding in m.encodings[1:])


def manifest():
    return [
        {
            "checkpoint": v.checkpoint,
            "architecture": v.model.gguf_architecture,
            "kind": v.kind,
            "format": v.format,
            "golden": f"logits/{v.golden}.safetensors",
        }
        for v in variants()
    ]


def rounded(x, name):
    """x as the 16-bit format keeps it, in float32."""
    if name == "f16":
        return x.astype(np.float16).astype(np.float32)
    if name == "bf16":
        return (to_bf16_bits(x).astype(np.uint32) << 16).view(np.float32)
    return x


def weights_of(m, fmt):
    """What the 16-bit formats keep of the random weights; else these."""
    specs = m.tensor_specs().items()
    return {name: rounded(normal(f"{m.name}/{name}", *spec), fmt) for name, spec in specs}


def store(x, qtype):
    """-> the array that GGUFWriter takes for a tensor of this type, of formats that rounding defines."""
    if qtype == QType.F32:
        return x
    if qtype == QType.F16:
        return x.astype(np.float16)
    if qtype == QType.BF16:
        return to_bf16_bits(x).view(np.uint8)
    return gguf.quants.quantize(x, qtype)


def type_of(m, name, shape, fmt):
    """The GGUF type of a tensor, as llama.cpp's quantizer mixes them."""
    part = name.removesuffix(".weight").rpartition(".")[2]
    if len(shape) == 1 or part in ("bias", "ffn_gate_inp"):
        return QType.F32
    if fmt in FLOATS:
        return QType[fmt.upper()]
    qtype = QType[fmt.upper().removesuffix("_M")]
    if fmt == "mxfp4" and not part.endswith("_exps"):  # as gpt-oss is given out
        qtype = QType.Q8_0
    if fmt == "q4_k_m" and (part == "output" or name.startswith(f"blk.{m.layers - 1}.ffn_down")):
        qtype = QType.Q6_K
    if shape[-1] % gguf.GGML_QUANT_SIZES[qtype][0]:
        qtype = QType.F16 if shape[-1] % 32 else QType.Q8_0
    return qtype


def encode(m, name, x, fmt):
    """A tensor with its GGUF name -> (array to store, GGUF type)."""
    x = np.ascontiguousarray(x)
    qtype = type_of(m, name, x.shape, fmt)
    if qtype.name not in RANDOM_BLOCKS:
        return store(x, qtype), qtype
    std = float(f"{x.astype(np.float64).std():.3g}")  # the same number whoever adds it up
    return RANDOM_BLOCKS[qtype.name](f"{m.name}/{name}/{qtype.name}", x.shape, std), qtype
