#!/usr/bin/env python3
"""Writes small random checkpoints of every family: GGUF files and HF directories.

    make_checkpoints.py OUT_DIR [--verbose]   writes the checkpoints, unless they are there
    make_checkpoints.py --manifest FILE       writes the list of checkpoints as JSON

The bytes depend only on this file, on MODULES and on the pinned gguf and safetensors packages: every random number comes from raw PCG64 bits through exact integer arithmetic, so neither
numpy's version nor the processor changes a weight. Logits for these checkpoints are made by
make_goldens.py; see README.md.
"""

import argparse
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import safetensors
from gguf import GGMLQuantizationType as QType
from gguf import LlamaFileType as FileType

import family
import family_formats
import more_families
import random_blocks
import random_weights
import tiny_tokenizers
from family import permute
from family_formats import rounded, store
from random_blocks import RANDOM_BLOCKS
from random_weights import normal, to_bf16_bits


@dataclass(frozen=True)
class Model:
    """One architecture at one size. Every format of it derives from the same float32 weights."""

    name: str
    family: str  # qwen3moe, olmoe or mixtral
    layers: int
    hidden: int
    ff: int  # width of one expert
    heads: int
    kv_heads: int
    head_dim: int
    experts: int
    top_k: int
    vocab: int
    theta: float
    eps: float
    tied: bool = False
    context: int = 2048

    @property
    def gguf_architecture(self):
        return "llama" if self.family == "mixtral" else self.family


MODELS = [
    # heads * head_dim = 512 != hidden; renormalised top-4; per-head QK-norm.
    Model("qwen3moe", "qwen3moe", 2, 256, 256, 4, 2, 128, 16, 4, 320, 1e6, 1e-6),
    # As many kv heads as heads; top-2 without renormalisation; QK-norm over the whole vector.
    Model("olmoe", "olmoe", 2, 256, 256, 4, 4, 64, 8, 2, 320, 1e4, 1e-5),
    # GQA; renormalised top-2; rows of Q and K are permuted in GGUF.
    Model("mixtral", "mixtral", 2, 256, 256, 4, 2, 64, 8, 2, 384, 1e6, 3e-5),
    # Widths that are no multiple of 256, so no K-quants; the first also has tied embeddings, the
    # second a layer that is neither first nor last. An unusual epsilon and theta, so that an engine
    # that does not read them shows.
    Model("qwen3moe-odd", "qwen3moe", 2, 160, 96, 4, 2, 32, 16, 4, 320, 5e5, 1e-3, tied=True),
    Model("olmoe-odd", "olmoe", 3, 160, 96, 5, 5, 32, 8, 2, 320, 5e4, 1e-4),
]

MODULES = (family, family_formats, more_families, random_blocks, random_weights, tiny_tokenizers)

# format -> (type of ordinary matrices, general.file_type)
GGUF_FORMATS = {
    "f32": (QType.F32, FileType.ALL_F32),
    "f16": (QType.F16, FileType.MOSTLY_F16),
    "bf16": (QType.BF16, FileType.MOSTLY_BF16),
    "q8_0": (QType.Q8_0, FileType.MOSTLY_Q8_0),
    "q4_0": (QType.Q4_0, FileType.MOSTLY_Q4_0),
    "q4_k": (QType.Q4_K, FileType.MOSTLY_Q4_K_S),
    "q6_k": (QType.Q6_K, FileType.MOSTLY_Q6_K),
    "q5_k": (QType.Q5_K, FileType.MOSTLY_Q5_K_S),
    "iq4_nl": (QType.IQ4_NL, FileType.MOSTLY_IQ4_NL),
    "mixed": (QType.Q4_K, FileType.MOSTLY_Q4_K_M),
}

# Directory suffix -> (dtype, shards wanted, new style of config.json)
HF_FORMATS = {
    "f32": ("float32", 1, True),
    "f32-sharded": ("float32", 3, False),
    "bf16": ("bfloat16", 1, True),
    "f16": ("float16", 1, False),
}

# What exists of the odd-width models: (kind, format).
ODD = {
    "qwen3moe-odd": [("hf", "f32"), ("gguf", "q4_0")],
    "olmoe-odd": [("gguf", "q8_0")],
}


def manifest():
    """All checkpoints, in the order in which they are written."""
    rows = []
    for m in MODELS:
        made = ODD.get(m.name) or (
            [("hf", f) for f in HF_FORMATS] + [("gguf", f) for f in GGUF_FORMATS]
        )
        if m.name == "mixtral":
            made.append(("gguf", "q8_0-2d"))
        for kind, name in made:
            weights = name.split("-")[0]
            rows.append(
                {
                    "checkpoint": f"{m.name}-{name}" + (".gguf" if kind == "gguf" else ""),
                    "architecture": m.family,
                    "kind": kind,
                    "format": weights,
                    "golden": f"logits/{m.name}-{weights}.safetensors",
                }
            )
    return rows + family_formats.manifest()


# --- Weights -------------------------------------------------------------------------------------


def tensor_specs(m):
    """GGUF tensor name (without .weight) -> (shape as PyTorch has it, std, mean).

    Gains are chosen so that attention is neither flat nor one-hot, that the router prefers some
    experts clearly, that every part adds about as much as the embedding, and logits have std 1-3.
    """
    h, f, e = m.hidden, m.ff, m.experts
    q, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    qk_norm = m.family != "mixtral"
    qk_gain = 1.0 if qk_norm else 1.5
    # Tied embeddings are also the output matrix, whose scale sets that of the logits.
    specs = {"token_embd": ((m.vocab, h), 1.5 / math.sqrt(h) if m.tied else 0.7, 0.0)}
    for n in range(m.layers):
        b = f"blk.{n}."
        specs[b + "attn_norm"] = ((h,), 0.2, 1.0)
        specs[b + "attn_q"] = ((q, h), qk_gain / math.sqrt(h), 0.0)
        specs[b + "attn_k"] = ((kv, h), qk_gain / math.sqrt(h), 0.0)
        specs[b + "attn_v"] = ((kv, h), 1.2 / math.sqrt(h), 0.0)
        specs[b + "attn_output"] = ((h, q), 1.2 / math.sqrt(q), 0.0)
        if qk_norm:
            per_head = m.family == "qwen3moe"
            specs[b + "attn_q_norm"] = ((m.head_dim if per_head else q,), 0.2, 1.4)
            specs[b + "attn_k_norm"] = ((m.head_dim if per_head else kv,), 0.2, 1.4)
        specs[b + "ffn_norm"] = ((h,), 0.2, 1.0)
        specs[b + "ffn_gate_inp"] = ((e, h), 2.0 / math.sqrt(h), 0.0)
        specs[b + "ffn_gate_exps"] = ((e, f, h), 1.5 / math.sqrt(h), 0.0)
        specs[b + "ffn_up_exps"] = ((e, f, h), 1.5 / math.sqrt(h), 0.0)
        specs[b + "ffn_down_exps"] = ((e, h, f), 1.5 / math.sqrt(f), 0.0)
    specs["output_norm"] = ((h,), 0.2, 1.0)
    if not m.tied:
        specs["output"] = ((m.vocab, h), 1.5 / math.sqrt(h), 0.0)
    return specs


def float_weights(m):
    return {n: normal(f"{m.name}/{n}", *spec) for n, spec in tensor_specs(m).items()}


# --- GGUF tensors --------------------------------------------------------------------------------


def type_of(m, name, fmt):
    """The GGUF type of a tensor: 1-D tensors and routers stay F32, as in real files."""
    if name.endswith(("_norm", "ffn_gate_inp")):
        return QType.F32
    if fmt == "mixed":
        # As llama-quantize does for Q4_K_M: some layers' down, the output and v get more bits.
        if name == "output" or (name.endswith("ffn_down_exps") and name.startswith("blk.0.")):
            return QType.Q6_K
        if name.endswith("attn_v"):
            return QType.Q8_0
    return GGUF_FORMATS[fmt][0]


def encode(m, name, values, fmt):
    """-> (array to store, GGUF type)."""
    qtype = type_of(m, name, fmt)
    shape, std, _ = tensor_specs(m)[name]
    if qtype.name in RANDOM_BLOCKS:
        return RANDOM_BLOCKS[qtype.name](f"{m.name}/{name}/{qtype.name}", shape, std), qtype
    values = rounded(values, fmt)
    if m.family == "mixtral" and name.endswith(("attn_q", "attn_k")):
        values = permute(values, m.heads if name.endswith("attn_q") else m.kv_heads)
    return store(np.ascontiguousarray(values), qtype), qtype


def add_model_metadata(w, m, fmt, old_style):
    w.add_type("model")
    w.add_name(f"{m.name} golden")
    w.add_size_label(f"{m.experts}x{max(1, m.layers * m.hidden * m.ff * 3 // 1000000)}M")
    w.add_file_type(GGUF_FORMATS[fmt][1])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(m.layers)
    w.add_context_length(m.context)
    w.add_embedding_length(m.hidden)
    if m.family == "qwen3moe":  # the dense width, which no tensor has; experts have their own key
        w.add_feed_forward_length(3 * m.ff)
        w.add_expert_feed_forward_length(m.ff)
    else:
        w.add_feed_forward_length(m.ff)
    w.add_head_count(m.heads)
    w.add_head_count_kv(m.kv_heads)
    if not old_style:  # files of 2023 have neither; head_dim = hidden / heads there
        w.add_key_length(m.head_dim)
        w.add_value_length(m.head_dim)
    w.add_layer_norm_rms_eps(m.eps)
    w.add_rope_freq_base(m.theta)
    w.add_rope_dimension_count(m.head_dim)
    w.add_expert_count(m.experts)
    w.add_expert_used_count(m.top_k)
    w.add_vocab_size(m.vocab)


def write_gguf(path, m, weights, fmt, per_expert=False):
    """per_expert: the old form of Mixtral files, one 2-D tensor per expert and matrix."""
    w = gguf.GGUFWriter(path, m.gguf_architecture)
    add_model_metadata(w, m, fmt, per_expert)
    tiny_tokenizers.add_tokenizer_metadata(w, m, per_expert)
    for name, values in weights.items():
        stored, qtype = encode(m, name, values, fmt)
        if per_expert and name.endswith("_exps"):
            stem = name.removesuffix("_exps")
            for e in range(m.experts):
                w.add_tensor(f"{stem}.{e}.weight", stored[e], raw_dtype=qtype)
        else:
            w.add_tensor(f"{name}.weight", stored, raw_dtype=qtype)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# --- Hugging Face directories --------------------------------------------------------------------

HF_TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
HF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
}


def hf_tensors(m, weights):
    """Hugging Face name -> float32 values, experts one by one."""
    mixtral = m.family == "mixtral"
    moe = "block_sparse_moe" if mixtral else "mlp"
    of = dict(zip(("gate", "up", "down"), ("w1", "w3", "w2"))) if mixtral else None
    tensors = {}
    for name, values in weights.items():
        if name in HF_TOP:
            tensors[HF_TOP[name] + ".weight"] = values
            continue
        _, layer, part = name.split(".")
        prefix = f"model.layers.{layer}."
        if part in HF_LAYER:
            tensors[f"{prefix}{HF_LAYER[part]}.weight"] = values
        elif part == "ffn_gate_inp":
            tensors[f"{prefix}{moe}.gate.weight"] = values
        else:
            matrix = part.split("_")[1]
            matrix = of[matrix] if of else matrix + "_proj"
            for e in range(m.experts):
                tensors[f"{prefix}{moe}.experts.{e}.{matrix}.weight"] = values[e]
    return tensors


def hf_config(m, dtype, new_style):
    """config.json: new_style as Transformers 5 writes it, else as Transformers 4 did."""
    tokens = tiny_tokenizers.special_ids(m)
    c = {
        "architectures": [
            {
                "qwen3moe": "Qwen3MoeForCausalLM",
                "olmoe": "OlmoeForCausalLM",
                "mixtral": "MixtralForCausalLM",
            }[m.family]
        ],
        "attention_dropout": 0.0,
        "bos_token_id": tokens["bos"],
        "eos_token_id": tokens["eos"],
        "pad_token_id": tokens["pad"],
        "hidden_act": "silu",
        "hidden_size": m.hidden,
        "initializer_range": 0.02,
        "intermediate_size": m.ff,
        "max_position_embeddings": m.context,
        "model_type": "qwen3_moe" if m.family == "qwen3moe" else m.family,
        "num_attention_heads": m.heads,
        "num_experts_per_tok": m.top_k,
        "num_hidden_layers": m.layers,
        "num_key_value_heads": m.kv_heads,
        "output_router_logits": False,
        "rms_norm_eps": m.eps,
        "router_aux_loss_coef": 0.001,
        "tie_word_embeddings": m.tied,
        "use_cache": True,
        "vocab_size": m.vocab,
    }
    if m.family == "qwen3moe":
        c |= {
            "attention_bias": False,
            "decoder_sparse_step": 1,
            "head_dim": m.head_dim,
            "intermediate_size": 3 * m.ff,
            "mlp_only_layers": [],
            "moe_intermediate_size": m.ff,
            "norm_topk_prob": True,
            "sliding_window": None,
            "use_sliding_window": False,
        }
        # Transformers 5 renamed the key; files of both ages are about.
        c["num_local_experts" if new_style else "num_experts"] = m.experts
    elif m.family == "olmoe":
        c |= {
            "attention_bias": False,
            "clip_qkv": None,
            "norm_topk_prob": False,
            "num_experts": m.experts,
        }
    else:
        c |= {"num_local_experts": m.experts, "router_jitter_noise": 0.0, "sliding_window": None}
        if new_style:
            c["head_dim"] = None
    if new_style:
        c |= {
            "chunk_size_feed_forward": 0,
            "dtype": dtype,
            "output_attentions": False,
            "output_hidden_states": False,
            "problem_type": None,
            "return_dict": True,
            "rope_parameters": {"rope_theta": m.theta, "rope_type": "default"},
            "transformers_version": "5.23.0",
        }
    else:
        c |= {
            "rope_scaling": None,
            "rope_theta": m.theta,
            "torch_dtype": dtype,
            "transformers_version": "4.51.0",
        }
    return c


def shards_of(tensors, wanted, width):
    """Splits in file order into at least `wanted` shards; an expert may straddle two of them."""
    limit = sum(t.size for t in tensors.values()) * width // wanted
    shards, used = [{}], 0
    for name, t in tensors.items():
        if wanted > 1 and used + t.size * width > limit:
            shards.append({})
            used = 0
        shards[-1][name] = t
        used += t.size * width
    return shards


def write_safetensors(path, tensors, dtype):
    stored = {}
    for name, x in tensors.items():
        if dtype == "bfloat16":
            x = to_bf16_bits(np.ascontiguousarray(x))
        stored[name] = np.ascontiguousarray(x, None if dtype == "bfloat16" else dtype)
    specs = {
        name: safetensors.TensorSpec(
            dtype=dtype, shape=x.shape, data_ptr=x.ctypes.data, data_len=x.nbytes
        )
        for name, x in stored.items()
    }
    safetensors.serialize_file(specs, str(path), metadata={"format": "pt"})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_hf(path, m, weights, fmt):
    dtype, wanted, new_style = HF_FORMATS[fmt]
    path.mkdir(exist_ok=True)
    tensors = hf_tensors(m, weights)
    width = 4 if dtype == "float32" else 2
    shards = shards_of(tensors, wanted, width)
    if len(shards) == 1:
        write_safetensors(path / "model.safetensors", tensors, dtype)
    else:
        weight_map = {}
        for i, shard in enumerate(shards, 1):
            name = f"model-{i:05}-of-{len(shards):05}.safetensors"
            write_safetensors(path / name, shard, dtype)
            weight_map |= dict.fromkeys(shard, name)
        total = sum(t.size for t in tensors.values()) * width
        write_json(
            path / "model.safetensors.index.json",
            {"metadata": {"total_size": total}, "weight_map": weight_map},
        )
    config = hf_config(m, dtype, new_style)
    write_json(path / "config.json", dict(sorted(config.items())))
    tokens = tiny_tokenizers.special_ids(m)
    write_json(
        path / "generation_config.json",
        {
            **{f"{k}_token_id": v for k, v in tokens.items() if v is not None},
            "transformers_version": config["transformers_version"],
        },
    )
    write_json(path / "tokenizer.json", tiny_tokenizers.hf_tokenizer(m))
    write_json(path / "tokenizer_config.json", tiny_tokenizers.hf_tokenizer_config(m))


# --- Families of more_families.py ----------------------------------------------------------------


def write_family_gguf(path, m, weights, fmt, encoding):
    w = gguf.GGUFWriter(path, m.gguf_architecture)
    w.add_type("model")
    w.add_name(f"{m.name} golden")
    w.add_file_type(family_formats.FILE_TYPES[fmt])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    m.gguf_metadata(w, encoding)
    tiny_tokenizers.add_tokenizer_metadata(w, m, False)
    for name, values in m.gguf_tensors(weights, encoding).items():
        stored, qtype = family_formats.encode(m, name, values, fmt)
        w.add_tensor(name, stored, raw_dtype=qtype)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_family_hf(path, m, weights, dtype):
    path.mkdir(exist_ok=True)
    write_safetensors(path / "model.safetensors", m.hf_tensors(weights), dtype)
    tokens = tiny_tokenizers.special_ids(m)
    config = m.hf_config() | {
        "architectures": [m.hf_class],
        "dtype": dtype,
        "model_type": m.model_type,
        "tie_word_embeddings": m.tied,
        "vocab_size": m.vocab,
        **{f"{k}_token_id": v for k, v in tokens.items()},
    }
    write_json(path / "config.json", dict(sorted(config.items())))
    write_json(path / "tokenizer.json", tiny_tokenizers.hf_tokenizer(m))
    write_json(path / "tokenizer_config.json", tiny_tokenizers.hf_tokenizer_config(m))


def write_families(out):
    for v in family_formats.variants():
        weights = family_formats.weights_of(v.model, v.format)
        if v.kind == "hf":
            write_family_hf(out / v.checkpoint, v.model, weights, family_formats.FLOATS[v.format])
        else:
            write_family_gguf(out / v.checkpoint, v.model, weights, v.format, v.encoding)


# --- Command line --------------------------------------------------------------------------------


def write_all(out, verbose):
    weights, current = None, None
    ours = [row for row in manifest() if row not in family_formats.manifest()]
    for row in ours:
        path = out / row["checkpoint"]
        m = max((m for m in MODELS if path.name.startswith(m.name)), key=lambda m: len(m.name))
        if m is not current:
            weights, current = float_weights(m), m
        suffix = path.name.removeprefix(m.name + "-").removesuffix(".gguf")
        if row["kind"] == "hf":
            write_hf(path, m, weights, suffix)
        else:
            write_gguf(path, m, weights, row["format"], per_expert=suffix.endswith("-2d"))
        if verbose:
            files = path.iterdir() if path.is_dir() else [path]
            size = sum(f.stat().st_size for f in files)
            print(f"{row['checkpoint']:28} {size / 1e6:6.1f} MB", file=sys.stderr)
    write_families(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", nargs="?", type=Path)
    parser.add_argument("--verbose", action="store_true", help="one line per checkpoint on stderr")
    parser.add_argument("--manifest", type=Path, help="only write the list of checkpoints here")
    args = parser.parse_args()
    if args.manifest:
        rows = ",\n".join("  " + json.dumps(row) for row in manifest())
        args.manifest.write_text(f"[\n{rows}\n]\n")
        return
    if not args.out_dir:
        parser.error("OUT_DIR is missing")
    stamp = args.out_dir / "stamp"
    files = (__file__, *(m.__file__ for m in MODULES))
    sources = b"".join(Path(f).read_bytes() for f in files)
    digest = hashlib.sha256(sources).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    args.out_dir.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    write_all(args.out_dir, args.verbose)
    stamp.write_text(digest)


if __name__ == "__main__":
    main()
