#!/usr/bin/env python3
"""Seeds for the fuzzer of whole GGUF models: a dense one and one with experts, of a few kilobytes.

    tools/fuzz_seeds/gguf_model_fuzz.py DIRECTORY
"""
import pathlib
import sys

from gguf_fuzz import F32, I32, STRING, U32, array, gguf, pair

HIDDEN, HEADS, HEAD_DIM, FF, EXPERTS = 32, 2, 16, 32, 2
TOKENS = ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u2581", "\u2581a"]


def keys(architecture, more):
    numbers = {"block_count": 1, "embedding_length": HIDDEN, "context_length": 64, "feed_forward_length": FF,
               "attention.head_count": HEADS, "attention.head_count_kv": 1, "attention.key_length": HEAD_DIM,
               "attention.value_length": HEAD_DIM, **more}
    pairs = [pair("general.architecture", STRING, architecture)]
    pairs += [pair(f"{architecture}.{key}", U32, number) for key, number in numbers.items()]
    pairs += [pair(f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5),
              pair("tokenizer.ggml.model", STRING, "llama"),
              array("tokenizer.ggml.tokens", STRING, TOKENS),
              array("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(TOKENS))]),
              array("tokenizer.ggml.token_type", I32, [2, 3, 3] + [1] * (len(TOKENS) - 3)),
              pair("tokenizer.ggml.bos_token_id", U32, 1), pair("tokenizer.ggml.eos_token_id", U32, 2)]
    return pairs


def tensors(feed_forward, norms=()):
    """(name, format, dimensions, innermost first)."""
    layer = [("attn_norm", "f32", (HIDDEN,)), ("ffn_norm", "f32", (HIDDEN,)),
             ("attn_q", "q8_0", (HIDDEN, HEADS * HEAD_DIM)), ("attn_k", "q8_0", (HIDDEN, HEAD_DIM)),
             ("attn_v", "q8_0", (HIDDEN, HEAD_DIM)), ("attn_output", "q8_0", (HEADS * HEAD_DIM, HIDDEN)),
             *feed_forward, *((name, "f32", (HEAD_DIM,)) for name in norms)]
    return [("token_embd.weight", "q8_0", (HIDDEN, len(TOKENS))), ("output_norm.weight", "f32", (HIDDEN,)),
            *((f"blk.0.{name}.weight", kind, shape) for name, kind, shape in layer)]


def models():
    """name -> the bytes of a file."""
    dense = [("ffn_gate", "q8_0", (HIDDEN, FF)), ("ffn_up", "q8_0", (HIDDEN, FF)), ("ffn_down", "q8_0", (FF, HIDDEN))]
    experts = [(name + "_exps", kind, (*shape, EXPERTS)) for name, kind, shape in dense]
    experts.append(("ffn_gate_inp", "f32", (HIDDEN, EXPERTS)))
    of_experts = {"expert_count": EXPERTS, "expert_used_count": 1, "expert_feed_forward_length": FF}
    return {"dense": gguf(keys("llama", {}), tensors(dense)),
            "experts": gguf(keys("qwen3moe", of_experts), tensors(experts, ("attn_q_norm", "attn_k_norm")))}


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, content in models().items():
        (out / name).write_bytes(content)


if __name__ == "__main__":
    main()
