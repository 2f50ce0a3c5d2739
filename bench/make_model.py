#!/usr/bin/env python3
"""Writes a GGUF model of a real shape with random weights, for measuring speed on any engine.

    bench/make_model.py --shape qwen3-30b-a3b --layers 8 --type q4_0 -o /tmp/q4_0.gguf

Random weights have no meaning: nothing is said here about quality or about caches, whose hit rates
depend on what real routers do. Needs numpy and gguf (.venv has them).
"""
import argparse

import gguf
import numpy as np

# layers, hidden, heads, kv heads, head size, experts, top-k, expert width, vocabulary
SHAPES = {
    "qwen3-30b-a3b": ("qwen3moe", 48, 2048, 32, 4, 128, 128, 8, 768, 151936),
    "olmoe-1b-7b": ("olmoe", 16, 2048, 16, 16, 128, 64, 8, 1024, 50304),
    "mixtral-8x7b": ("llama", 32, 4096, 32, 8, 128, 8, 2, 14336, 32000),
}
TYPES = {name.lower(): getattr(gguf.GGMLQuantizationType, name)
         for name in ("F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K")}
# Offsets of the f16 fields of a block and a scale that gives weights of about 0.02.
SCALES = {"Q8_0": {0: 0.0003}, "Q4_0": {0: 0.004}, "Q4_K": {0: 0.0002, 2: 0.0015}, "Q6_K": {208: 0.00001}}


class Writer:
    def __init__(self, arguments):
        self.random = np.random.default_rng(1)
        self.kind = TYPES[arguments.type]
        self.name = arguments.type.upper()

    def matrix(self, *shape):
        """Random blocks of the format: shape as in PyTorch."""
        elements, block_bytes = gguf.GGML_QUANT_SIZES[self.kind]
        if self.name in ("F16", "BF16"):
            values = (self.random.standard_normal(shape, dtype=np.float32) * 0.02)
            return gguf.quants.quantize(values, self.kind)
        blocks = int(np.prod(shape)) // elements
        raw = self.random.integers(0, 256, (blocks, block_bytes), dtype=np.uint8)
        if self.name == "Q4_0":
            # Nibbles 1..15 have mean 8, which stands for 0: weights with another mean would make all
            # tokens alike, and route them to the same experts.
            raw = (raw % 15 + 1) | ((raw // 15 % 15 + 1) << 4)
        for offset, scale in SCALES[self.name].items():
            half = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
            raw[:, offset:offset + 2] = half
        return raw.reshape(*shape[:-1], shape[-1] // elements * block_bytes)

    def norm(self, size):
        return np.ones(size, np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="qwen3-30b-a3b")
    parser.add_argument("--layers", type=int, help="fewer than the real model has")
    parser.add_argument("--type", choices=TYPES, default="q4_0")
    parser.add_argument("-o", "--output", required=True)
    arguments = parser.parse_args()
    arch, layers, hidden, heads, kv_heads, head, experts, top_k, ff, vocab = SHAPES[arguments.shape]
    layers = arguments.layers or layers
    out = gguf.GGUFWriter(arguments.output, arch, use_temp_file=False)
    out.add_name(f"random {arguments.shape}, {layers} layers, {arguments.type}")
    out.add_block_count(layers)
    out.add_context_length(32768)
    out.add_embedding_length(hidden)
    out.add_feed_forward_length(ff)
    out.add_expert_feed_forward_length(ff)
    out.add_head_count(heads)
    out.add_head_count_kv(kv_heads)
    out.add_key_length(head)
    out.add_value_length(head)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_rope_freq_base(1e6)
    out.add_expert_count(experts)
    out.add_expert_used_count(top_k)
    out.add_vocab_size(vocab)
    out.add_tokenizer_model("no_vocab")

    weights = Writer(arguments)
    pending = []  # (name, maker): made one by one while writing, so that memory stays small

    def add(name, make, shape, quantized=True):
        if quantized:
            elements, block_bytes = gguf.GGML_QUANT_SIZES[weights.kind]
            raw = (*shape[:-1], shape[-1] // elements * block_bytes)
            count = int(np.prod(raw))
            out.add_tensor_info(name, raw, np.dtype(np.uint8), count, raw_dtype=weights.kind)
        else:
            out.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(shape)) * 4)
        pending.append(make)

    def matrix(name, *shape):
        add(name, lambda: weights.matrix(*shape), shape)

    def plain(name, *shape):
        add(name, lambda: (weights.random.standard_normal(shape, dtype=np.float32) * 0.05
                           if len(shape) > 1 else weights.norm(shape[0])), shape, quantized=False)

    matrix("token_embd.weight", vocab, hidden)
    for i in range(layers):
        p = f"blk.{i}."
        plain(p + "attn_norm.weight", hidden)
        matrix(p + "attn_q.weight", heads * head, hidden)
        matrix(p + "attn_k.weight", kv_heads * head, hidden)
        matrix(p + "attn_v.weight", kv_heads * head, hidden)
        matrix(p + "attn_output.weight", hidden, heads * head)
        if arch != "llama":
            plain(p + "attn_q_norm.weight", head if arch == "qwen3moe" else heads * head)
            plain(p + "attn_k_norm.weight", head if arch == "qwen3moe" else kv_heads * head)
        plain(p + "ffn_norm.weight", hidden)
        plain(p + "ffn_gate_inp.weight", experts, hidden)
        matrix(p + "ffn_gate_exps.weight", experts, ff, hidden)
        matrix(p + "ffn_up_exps.weight", experts, ff, hidden)
        matrix(p + "ffn_down_exps.weight", experts, hidden, ff)
    plain("output_norm.weight", hidden)
    matrix("output.weight", vocab, hidden)

    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_ti_data_to_file()
    for make in pending:
        out.write_tensor_data(make())
    out.close()


if __name__ == "__main__":
    main()
