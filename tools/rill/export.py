"""Writes rill's files: a training checkpoint to GGUF, and a GGUF to a Hugging Face directory.

    python tools/rill/export.py gguf run models/rill/rill-q8_0.gguf
    python tools/rill/export.py hf models/rill/rill-q8_0.gguf build/rill-hf
    python tools/rill/export.py check run models/rill/rill-q8_0.gguf

The Hugging Face directory holds the dequantised weights as float32: it is the same model as the
GGUF, number for number.  `check` compares the trainer's logits with those of Transformers' own
Qwen3MoeForCausalLM on that directory.
"""

import argparse
import json
import os
import random
import tempfile

import gguf
import model
import numpy as np
import tasks
import torch
from gguf import GGMLQuantizationType as Type
from tokenizer import QWEN2_SPLIT, SPECIALS
from tokenizers import Tokenizer

# Our name in a layer -> (GGUF name, Transformers name).
LAYER_NAMES = {
    "attention_norm.weight": ("attn_norm", "input_layernorm"),
    "attention.q": ("attn_q", "self_attn.q_proj"),
    "attention.k": ("attn_k", "self_attn.k_proj"),
    "attention.v": ("attn_v", "self_attn.v_proj"),
    "attention.o": ("attn_output", "self_attn.o_proj"),
    "attention.q_norm.weight": ("attn_q_norm", "self_attn.q_norm"),
    "attention.k_norm.weight": ("attn_k_norm", "self_attn.k_norm"),
    "experts_norm.weight": ("ffn_norm", "post_attention_layernorm"),
    "experts.router": ("ffn_gate_inp", "mlp.gate"),
    "experts.gate": ("ffn_gate_exps", "mlp.experts.{}.gate_proj"),
    "experts.up": ("ffn_up_exps", "mlp.experts.{}.up_proj"),
    "experts.down": ("ffn_down_exps", "mlp.experts.{}.down_proj"),
}
OTHER_NAMES = {
    "embedding": ("token_embd", "model.embed_tokens"),
    "norm.weight": ("output_norm", "model.norm"),
    "head": ("output", "lm_head"),
}


def names(layers: int):
    """Yields (our name, GGUF name, Transformers name) of every tensor."""
    for ours, (ggufs, theirs) in OTHER_NAMES.items():
        yield ours, f"{ggufs}.weight", f"{theirs}.weight"
    for i in range(layers):
        for ours, (ggufs, theirs) in LAYER_NAMES.items():
            yield (f"layers.{i}.{ours}", f"blk.{i}.{ggufs}.weight",
                   f"model.layers.{i}.{theirs}.weight")


def load_checkpoint(run: str) -> tuple[model.Rill, dict]:
    saved = torch.load(os.path.join(run, "checkpoint.pt"), weights_only=True)
    net = model.Rill(model.Config(vocab=saved["vocab"]))
    net.load_state_dict(saved["model"])
    return net, saved


def write_gguf(run: str, path: str) -> None:
    net, saved = load_checkpoint(run)
    c = net.c
    with open(os.path.join(run, "tokenizer.json"), encoding="utf-8") as file:
        bpe = json.load(file)["model"]
    writer = gguf.GGUFWriter(path, "qwen3moe")
    writer.add_name("rill")
    writer.add_license("apache-2.0")
    writer.add_description("A small mixture-of-experts model trained on generated tasks and "
                           f"stories ({saved['seen_tokens']} tokens).")
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.hidden)
    writer.add_block_count(c.layers)
    writer.add_feed_forward_length(c.expert_hidden)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_expert_count(c.experts)
    writer.add_expert_used_count(c.top_k)
    writer.add_expert_feed_forward_length(c.expert_hidden)
    writer.add_vocab_size(c.vocab)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in SPECIALS else normal for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in bpe["merges"]])
    # No token opens a text; readers that insist on a "bos" get the end-of-text token, as in Qwen2.
    writer.add_bos_token_id(bpe["vocab"]["<|endoftext|>"])
    writer.add_eos_token_id(bpe["vocab"]["<|endoftext|>"])
    writer.add_pad_token_id(bpe["vocab"]["<|endoftext|>"])
    writer.add_add_bos_token(False)

    tensors = net.state_dict()
    for ours, name, _ in names(c.layers):
        value = tensors[ours].float().numpy()
        if value.ndim == 1 or ours.endswith("router"):
            writer.add_tensor(name, value)  # norms and routers stay float32
        else:
            quantized = gguf.quants.quantize(value, Type.Q8_0)
            writer.add_tensor(name, quantized, raw_dtype=Type.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path}: {os.path.getsize(path)} bytes, {saved['step']} steps, "
          f"{saved['seen_tokens']} tokens")


def write_tokenizer(fields: dict, folder: str) -> None:
    tokens = fields["tokenizer.ggml.tokens"]
    control = [i for i, kind in enumerate(fields["tokenizer.ggml.token_type"])
               if kind == gguf.TokenType.CONTROL]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated",
             "invert": False}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
    merges = [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": tokens[i], **added} for i in control],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}}
    end = tokens[fields["tokenizer.ggml.eos_token_id"]]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": end,
              "pad_token": end, "add_bos_token": False, "clean_up_tokenization_spaces": False,
              "model_max_length": fields["qwen3moe.context_length"]}
    write_json(os.path.join(folder, "tokenizer.json"), tokenizer)
    write_json(os.path.join(folder, "tokenizer_config.json"), config)


def save_tokenizer(path: str, folder: str) -> None:
    """Writes the tokenizer of the GGUF at `path` into `folder`."""
    reader = gguf.GGUFReader(path)
    write_tokenizer({name: field.contents() for name, field in reader.fields.items()}, folder)


def write_json(path: str, value: dict) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def write_hf(path: str, folder: str) -> None:
    from safetensors.numpy import save_file

    os.makedirs(folder, exist_ok=True)
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    spec = {name.split(".", 1)[1]: value for name, value in fields.items()
            if name.startswith("qwen3moe.")}
    write_tokenizer(fields, folder)
    end = int(fields["tokenizer.ggml.eos_token_id"])
    theta = float(spec["rope.freq_base"])
    write_json(os.path.join(folder, "config.json"), {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
        "vocab_size": len(fields["tokenizer.ggml.tokens"]), "hidden_size": spec["embedding_length"],
        "num_hidden_layers": spec["block_count"],
        "num_attention_heads": spec["attention.head_count"],
        "num_key_value_heads": spec["attention.head_count_kv"],
        "head_dim": spec["attention.key_length"], "hidden_act": "silu", "attention_bias": False,
        "num_experts": spec["expert_count"], "num_experts_per_tok": spec["expert_used_count"],
        "moe_intermediate_size": spec["expert_feed_forward_length"],
        "intermediate_size": spec["feed_forward_length"], "norm_topk_prob": True,
        "decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False,
        # As the nearest double of the float32 in the GGUF: 1e-06, not 9.99999997e-07.
        "rms_norm_eps": float(np.format_float_scientific(
            np.float32(spec["attention.layer_norm_rms_epsilon"]), unique=True)),
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "max_position_embeddings": spec["context_length"], "tie_word_embeddings": False,
        "bos_token_id": None, "eos_token_id": end, "pad_token_id": end, "torch_dtype": "float32"})
    stored = {tensor.name: tensor for tensor in reader.tensors}
    tensors = {}
    for _, name, theirs in names(spec["block_count"]):
        value = gguf.quants.dequantize(stored[name].data, stored[name].tensor_type)
        value = np.ascontiguousarray(value, dtype=np.float32)
        if value.ndim == 3:
            tensors.update({theirs.format(e): value[e].copy() for e in range(value.shape[0])})
        else:
            tensors[theirs] = value
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def load_hf(path: str):
    """The GGUF at `path` as (Transformers' model, tokenizer)."""
    from transformers import AutoTokenizer, Qwen3MoeForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        write_hf(path, folder)
        net = Qwen3MoeForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return net.eval(), AutoTokenizer.from_pretrained(folder)


def load_trainer_model(path: str) -> model.Rill:
    """The GGUF's dequantised weights in the trainer's own model."""
    reader = gguf.GGUFReader(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    vocab = len(reader.fields["tokenizer.ggml.tokens"].contents())
    net = model.Rill(model.Config(vocab=vocab))
    net.load_state_dict({
        ours: torch.from_numpy(np.array(gguf.quants.dequantize(
            stored[name].data, stored[name].tensor_type), dtype=np.float32))
        for ours, name, _ in names(net.c.layers)})
    return net


@torch.no_grad()
def check(run: str, path: str) -> None:
    checkpoint, _ = load_checkpoint(run)
    requantized = load_trainer_model(path)
    theirs, tokenizer = load_hf(path)
    trained_with = Tokenizer.from_file(os.path.join(run, "tokenizer.json"))
    rng = random.Random(5)
    worst, squares, power, same, total = 0.0, 0.0, 0.0, 0, 0
    for kind in tasks.KINDS:
        for _ in range(8):
            example = tasks.draw(kind, rng, held_out=True)
            ids = tokenizer(example.prompt + example.answer)["input_ids"]
            assert ids == trained_with.encode(example.prompt + example.answer).ids
            tokens = torch.tensor([ids])
            other = theirs(tokens).logits
            mine, before = (net.logits(net(tokens, torch.zeros_like(tokens))[0])
                            for net in (requantized, checkpoint))
            worst = max(worst, (mine - other).abs().max().item())
            squares += (before - other).square().sum().item()
            power += before.square().sum().item()
            same += (before.argmax(-1) == other.argmax(-1)).sum().item()
            total += len(ids)
    print(f"the same weights, trainer's model against Transformers: largest logit difference "
          f"{worst:.6f}\nthe checkpoint before quantization against Transformers on {path}: "
          f"relative error of the logits {(squares / power) ** 0.5:.4f}, likeliest token equal "
          f"at {same} of {total} positions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for command, first, second in (("gguf", "run", "path"), ("hf", "path", "folder"),
                                   ("check", "run", "path")):
        sub = commands.add_parser(command)
        sub.add_argument(first)
        sub.add_argument(second)
    args = parser.parse_args()
    if args.command == "gguf":
        write_gguf(args.run, args.path)
    elif args.command == "hf":
        write_hf(args.path, args.folder)
    else:
        check(args.run, args.path)


if __name__ == "__main__":
    main()
