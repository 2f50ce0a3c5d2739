#!/usr/bin/env python3
"""Computes Hugging Face Transformers' logits for the checkpoints of make_checkpoints.py.

    make_goldens.py CHECKPOINT_DIR OUT_DIR           writes OUT_DIR/logits/*.safetensors
    make_goldens.py CHECKPOINT_DIR OUT_DIR --check   recomputes and compares with what is there

All in float32 with eager attention and eager experts. Hugging Face directories are read by
from_pretrained; GGUF files of the first three families by the reader below, which shares no code with
make_checkpoints.py, those of the others by the inverse of what family.py writes. The `gguf` package decodes.
Checkpoints that the manifest gives one golden file must hold the same weights, bit for bit.
What the files hold is described in README.md.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import family_formats
import gguf
import numpy as np
import torch
import transformers
from make_checkpoints import write_family_hf
from safetensors import safe_open
from safetensors.torch import save_file

# Routing and greedy choice must not hang on the last bits of a float, or an engine that sums in
# another order could not be asked for equality. Prompts are changed until these hold.
MIN_ROUTER_MARGIN = 0.01  # between the last chosen and the first rejected expert, in router logits
MIN_GREEDY_MARGIN = 0.01  # between the two best logits
CHECK_TOLERANCE = 2e-5

# Positions around the edges of blocks of 32, 64, 128, 256 and of the prefill chunk of 512.
LONG_POSITIONS = (0, 1, 31, 32, 63, 64, 127, 128, 129, 255, 256, 257, 300, 383, 384, 447, 448)
LONG_POSITIONS += (510, 511, 512, 513, 560, 575, 576, 598, 599)
MIDDLE_POSITIONS = (0, 1, 15, 16, 31, 32, 33, 47, 48, 63, 64, 65, 69)

# (tokens, positions whose logits are kept, tokens that follow), for float32 weights, for other weights of the
# first three families, and for all that there are besides: one format differs from another in decoding only.
FULL_PROMPTS = [(5, tuple(range(5)), 24), (600, LONG_POSITIONS, 24), (70, MIDDLE_POSITIONS, 24)]
FEW_PROMPTS = [(5, tuple(range(5)), 24), (70, (0, 1, 31, 32, 63, 64, 69), 24)]
ONE_PROMPT = [(70, (0, 63), 8)]
FEW_PROMPT_FORMATS = ("f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k", "mixed")
FIRST_FAMILIES = ("qwen3moe", "olmoe", "mixtral")


def prompts_of(row):
    if row["format"] == "f32":
        return FULL_PROMPTS
    few = row["architecture"] in FIRST_FAMILIES and row["format"] in FEW_PROMPT_FORMATS
    return FEW_PROMPTS if few else ONE_PROMPT


# --- Loading -------------------------------------------------------------------------------------


def load_hf(path):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    return model.eval()


def gguf_config(field, tied):
    """The Transformers configuration that a GGUF file's metadata describes."""
    arch = field("general.architecture")
    hidden, heads = field(f"{arch}.embedding_length"), field(f"{arch}.attention.head_count")
    common = {
        "vocab_size": field(f"{arch}.vocab_size"),
        "hidden_size": hidden,
        "num_hidden_layers": field(f"{arch}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": field(f"{arch}.attention.head_count_kv"),
        "max_position_embeddings": field(f"{arch}.context_length"),
        "rms_norm_eps": field(f"{arch}.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": field(f"{arch}.rope.freq_base")},
        "num_experts_per_tok": field(f"{arch}.expert_used_count"),
        "intermediate_size": field(f"{arch}.feed_forward_length"),
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "attn_implementation": "eager",
        "experts_implementation": "eager",
    }
    experts = field(f"{arch}.expert_count")
    if arch == "qwen3moe":
        return transformers.Qwen3MoeConfig(
            **common,
            num_experts=experts,
            head_dim=field("qwen3moe.attention.key_length"),
            moe_intermediate_size=field("qwen3moe.expert_feed_forward_length"),
            norm_topk_prob=True,
        )
    if arch == "olmoe":
        return transformers.OlmoeConfig(**common, num_experts=experts, norm_topk_prob=False)
    assert arch == "llama", arch
    return transformers.MixtralConfig(**common, num_local_experts=experts)


def unpermute(x, heads):
    """GGUF's llama stores the pair (i, i + d/2) of each head's rows as (2i, 2i + 1)."""
    pairs = x.reshape(heads, x.shape[0] // heads // 2, 2, x.shape[1])
    return np.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=1).reshape(x.shape)


def module_name(part):
    """GGUF tensor of a layer -> parameter of Transformers' layer, experts excepted."""
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    names |= {"attn_output": "self_attn.o_proj", "ffn_gate_inp": "mlp.gate"}
    names |= {f"attn_{x}": f"self_attn.{x}_proj" for x in "qkv"}
    names |= {f"attn_{x}_norm": f"self_attn.{x}_norm" for x in "qk"}
    return names[part]


def gguf_state(tensors, config):
    """Dequantized GGUF tensors -> state dict of the Transformers model."""
    state = {
        "model.embed_tokens.weight": tensors["token_embd"],
        "model.norm.weight": tensors["output_norm"],
        "lm_head.weight": tensors.get("output", tensors["token_embd"]),
    }
    for layer in range(config.num_hidden_layers):
        blk = {k.split(".", 2)[2]: v for k, v in tensors.items() if k.startswith(f"blk.{layer}.")}
        out = f"model.layers.{layer}."
        experts = {}
        for matrix in ("gate", "up", "down"):
            experts[matrix] = blk.pop(f"ffn_{matrix}_exps", None)
            if experts[matrix] is None:  # old files: one tensor per expert
                count = config.num_local_experts
                each = [blk.pop(f"ffn_{matrix}.{e}") for e in range(count)]
                experts[matrix] = np.stack(each)
        fused = np.concatenate([experts["gate"], experts["up"]], axis=1)
        state[out + "mlp.experts.gate_up_proj"] = fused
        state[out + "mlp.experts.down_proj"] = experts["down"]
        if config.model_type == "mixtral":
            blk["attn_q"] = unpermute(blk["attn_q"], config.num_attention_heads)
            blk["attn_k"] = unpermute(blk["attn_k"], config.num_key_value_heads)
        for part, values in blk.items():
            state[f"{out}{module_name(part)}.weight"] = values
    return {k: torch.from_numpy(np.array(v)) for k, v in state.items()}


def dequantized(reader):
    """GGUF name -> float32 values, as the gguf package decodes them."""
    tensors = {}
    for t in reader.tensors:
        values = gguf.quants.dequantize(t.data, t.tensor_type)
        # ReaderTensor.shape is in GGUF order, fastest dimension first.
        tensors[t.name] = values.reshape([int(n) for n in reversed(t.shape)])
    return tensors


def load_gguf(path):
    reader = gguf.GGUFReader(path)
    tensors = {k.removesuffix(".weight"): v for k, v in dequantized(reader).items()}

    def field(key):
        return reader.get_field(key).contents()

    config = gguf_config(field, tied="output" not in tensors)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(gguf_state(tensors, config), strict=True)
    return model.eval()


def load_deepseek(path):
    """DeepSeekMoE-16B, which Transformers lacks, as the Qwen2-MoE that computes the same.

    That one multiplies the sum of the shared experts by a sigmoid: of 0, which is a half, so the
    matrix is doubled. Both are exact.
    """
    c = json.loads((path / "config.json").read_text())
    config = transformers.Qwen2MoeConfig(
        **{k: v for k, v in c.items() if k not in ("architectures", "model_type", "dtype")},
        num_experts=c["n_routed_experts"],
        shared_expert_intermediate_size=c["n_shared_experts"] * c["moe_intermediate_size"],
        mlp_only_layers=list(range(c["first_k_dense_replace"])),
        qkv_bias=False,
        use_sliding_window=False,
        attn_implementation="eager",
        experts_implementation="eager",
    )
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with safe_open(path / "model.safetensors", framework="pt") as f:
        stored = {k: f.get_tensor(k).float() for k in f.keys()}
    state = {}
    for name, value in stored.items():
        if ".mlp.experts." in name:
            continue
        if ".shared_experts.down_proj." in name:
            value = 2 * value
        state[name.replace(".shared_experts.", ".shared_expert.")] = value
    for layer in range(c["first_k_dense_replace"], c["num_hidden_layers"]):
        mlp = f"model.layers.{layer}.mlp."
        each = [
            [stored[f"{mlp}experts.{e}.{part}_proj.weight"] for part in ("gate", "up", "down")]
            for e in range(c["n_routed_experts"])
        ]
        fused = [torch.cat([gate, up]) for gate, up, _ in each]
        state[mlp + "experts.gate_up_proj"] = torch.stack(fused)
        state[mlp + "experts.down_proj"] = torch.stack([down for _, _, down in each])
        state[mlp + "shared_expert_gate.weight"] = torch.zeros(1, c["hidden_size"])
    model.load_state_dict(state, strict=True)
    return model.eval()


def load_directory(path, architecture):
    return load_deepseek(path) if architecture == "deepseek" else load_hf(path)


def load_family_gguf(path):
    """The decoded numbers, in Hugging Face's order, as a float32 directory."""
    v = next(v for v in family_formats.variants() if v.checkpoint == path.name)
    weights = v.model.weights_from_gguf(dequantized(gguf.GGUFReader(path)), v.encoding)
    with tempfile.TemporaryDirectory() as folder:
        write_family_hf(Path(folder), v.model, weights, "float32")
        return load_directory(Path(folder), v.model.gguf_architecture)


def load(root, row):
    path = root / row["checkpoint"]
    if row["kind"] == "hf":
        model = load_directory(path, row["architecture"])
    elif row["architecture"] in FIRST_FAMILIES:
        model = load_gguf(path)
    else:
        model = load_family_gguf(path)
    assert model.config._attn_implementation == "eager"
    assert model.config._experts_implementation == "eager"
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return model


def differing_tensors(a, b):
    """Names of parameters that are not the same bit for bit."""
    a, b = a.state_dict(), b.state_dict()
    names = a.keys() | b.keys()
    return sorted(k for k in names if k not in a or k not in b or not a[k].equal(b[k]))


# --- Running -------------------------------------------------------------------------------------


class RouterMargins:
    """Records how far each token's last chosen expert was from the first rejected one.

    In router logits, as they choose: with sigmoid and bias where the router has one; the best of a
    group against the best of the last group that was left out, too.
    """

    def __init__(self, model):
        self.rows = []  # per layer and forward pass: [tokens]
        self.tokens = 0
        self.top_k = getattr(model.config, "num_experts_per_tok", None)
        if model.config.model_type == "dbrx":
            self.top_k = model.config.ffn_config.moe_top_k
        blocks = model.transformer.blocks if hasattr(model, "transformer") else model.model.layers
        for layer in blocks:
            for path in ("mlp.gate", "mlp.router", "ffn.router"):
                router = layer
                for part in path.split("."):
                    router = getattr(router, part, None)
                if router is not None:
                    router.register_forward_hook(self.record)
        model.get_input_embeddings().register_forward_hook(self.count)

    def count(self, _module, _inputs, outputs):
        self.tokens = outputs.shape[-2]

    def record(self, module, _inputs, outputs):
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        logits = logits.reshape(-1, logits.shape[-1])
        bias = getattr(module, "e_score_correction_bias", None)
        if bias is not None:
            logits = 4 * (logits.sigmoid() + bias)  # a sigmoid's slope is a quarter at most
        margin = torch.full((logits.shape[0],), torch.inf)
        if getattr(module, "topk_method", "") == "group_limited_greedy":
            groups = logits.view(logits.shape[0], module.num_group, -1).amax(dim=-1)
            best = groups.topk(module.topk_group + 1, dim=-1).values
            margin = best[:, -2] - best[:, -1]
            shut = (groups < best[:, -2:-1]).repeat_interleave(
                logits.shape[-1] // module.num_group, dim=-1
            )
            logits = logits.masked_fill(shut, -torch.inf)
        best = logits.topk(self.top_k + 1, dim=-1).values
        self.rows.append(torch.minimum(margin, best[:, -2] - best[:, -1]))

    def take(self):
        """[tokens]: the smallest over the layers since the last call, of one forward pass."""
        if not self.rows:  # a dense model
            return torch.full((self.tokens,), torch.inf)
        smallest = torch.stack(self.rows).amin(dim=0)
        self.rows.clear()
        return smallest


@torch.no_grad()
def prefill(model, ids):
    out = model(input_ids=torch.tensor([ids]), use_cache=True)
    return out.logits[0], out.past_key_values


@torch.no_grad()
def continue_greedily(model, margins, logits, cache, steps, forced=None):
    """Rows of logits from which each greedy token is taken; the first row is the prompt's last.

    Returns (ids, logits [steps, vocab], smallest greedy margin, smallest router margin). `forced`
    are ids to feed instead of the arg max, so that one flip does not spoil a whole comparison.
    """
    ids, rows, router = [], [logits[-1]], float("inf")
    while True:
        ids.append(int(rows[-1].argmax()))
        if len(ids) == steps:
            break
        feed = forced[len(ids) - 1] if forced else ids[-1]
        out = model(input_ids=torch.tensor([[feed]]), past_key_values=cache, use_cache=True)
        router = min(router, float(margins.take().min()))
        rows.append(out.logits[0, -1])
    rows = torch.stack(rows)
    best = rows.topk(2, dim=-1).values
    return ids, rows, float((best[:, 0] - best[:, 1]).min()), router


def random_ids(generator, count, vocab):
    return [int(x) for x in generator.integers(0, vocab, count)]


def make_prompt(model, margins, generator, length, steps):
    """A random prompt all of whose routing and greedy decisions are clear.

    Tokens whose routing is a near tie are drawn again; when only the continuation has one, the last
    token is. Returns (ids, prompt logits, greedy ids, greedy logits, smallest margins).
    """
    vocab = model.config.vocab_size
    ids = random_ids(generator, length, vocab)
    for _ in range(400):
        logits, cache = prefill(model, ids)
        prompt_margins = margins.take()
        unclear = (prompt_margins < MIN_ROUTER_MARGIN).nonzero().flatten().tolist()
        if not unclear:
            greedy_ids, rows, greedy, router = continue_greedily(
                model, margins, logits, cache, steps
            )
            if greedy >= MIN_GREEDY_MARGIN and router >= MIN_ROUTER_MARGIN:
                router = min(router, float(prompt_margins.min()))
                return ids, logits, greedy_ids, rows, {"router": router, "greedy": greedy}
            unclear = [length - 1]
        for position in unclear:
            ids[position] = random_ids(generator, 1, vocab)[0]
    raise RuntimeError(f"no prompt of {length} tokens has clear decisions: change the weights")


# --- Golden files --------------------------------------------------------------------------------


def make_golden(model, golden, prompts, path):
    """Writes one golden file. Returns the smallest margins and the logits' standard deviation."""
    margins = RouterMargins(model)
    tensors, smallest, spread = {}, {"router": float("inf"), "greedy": float("inf")}, 0.0
    for n, (length, positions, steps) in enumerate(prompts):
        seed = int.from_bytes(f"{golden} {length}".encode(), "little")
        generator = np.random.Generator(np.random.PCG64(seed))
        ids, logits, greedy_ids, rows, found = make_prompt(
            model, margins, generator, length, steps
        )
        smallest = {k: min(smallest[k], found[k]) for k in smallest}
        spread = max(spread, float(logits.std()))
        tensors[f"prompt{n}.ids"] = torch.tensor(ids, dtype=torch.int32)
        tensors[f"prompt{n}.positions"] = torch.tensor(positions, dtype=torch.int32)
        tensors[f"prompt{n}.logits"] = logits[list(positions)].clone()
        tensors[f"prompt{n}.greedy_ids"] = torch.tensor(greedy_ids, dtype=torch.int32)
        tensors[f"prompt{n}.greedy_logits"] = rows
    metadata = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "prompts": str(len(prompts)),
        "smallest_router_margin": f"{smallest['router']:.6f}",
        "smallest_greedy_margin": f"{smallest['greedy']:.6f}",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=metadata)
    return {**smallest, "spread": spread}


def check_golden(model, path):
    """Returns (largest difference of a logit, number of greedy ids that differ, margins)."""
    margins = RouterMargins(model)
    worst, wrong, router, greedy = 0.0, 0, float("inf"), float("inf")
    with safe_open(path, framework="pt") as f:
        for n in range(int(f.metadata()["prompts"])):
            ids, positions, logits, greedy_ids, rows = (
                f.get_tensor(f"prompt{n}.{k}")
                for k in ("ids", "positions", "logits", "greedy_ids", "greedy_logits")
            )
            expected_ids = greedy_ids.tolist()
            ours, cache = prefill(model, ids.tolist())
            router = min(router, float(margins.take().min()))
            worst = max(worst, float((ours[positions.long()] - logits).abs().max()))
            got_ids, got_rows, got_greedy, got_router = continue_greedily(
                model, margins, ours, cache, len(expected_ids), forced=expected_ids
            )
            worst = max(worst, float((got_rows - rows).abs().max()))
            wrong += sum(a != b for a, b in zip(got_ids, expected_ids))
            greedy, router = min(greedy, got_greedy), min(router, got_router)
    return worst, wrong, {"router": router, "greedy": greedy}


def by_golden(manifest):
    groups = {}
    for row in manifest:
        groups.setdefault(row["golden"], []).append(row)
    return groups


def run(args):
    """Writes or checks every golden file. Returns the number of failures."""
    manifest = json.loads((Path(__file__).parent / "manifest.json").read_text())
    failures = 0
    columns = "max diff  ids" if args.check else "logit std    "
    print(f"{'golden':36} {columns}  router  greedy  checkpoints")
    for golden, rows in by_golden(manifest).items():
        if args.only and args.only not in golden:
            continue
        path = args.out_dir / golden
        if args.new and path.exists():
            continue
        model = load(args.checkpoint_dir, rows[0])
        if args.check:
            worst, wrong, found = check_golden(model, path)
            ok = worst <= CHECK_TOLERANCE and wrong == 0
            ok = ok and min(found["router"], found["greedy"]) >= MIN_ROUTER_MARGIN / 2
            text = f"{worst:8.1e} {wrong:4}"
        else:
            found = make_golden(model, golden, prompts_of(rows[0]), path)
            ok = True
            text = f"{found['spread']:9.2f}    "
        notes = []
        for other in rows[1:]:
            differing = differing_tensors(model, load(args.checkpoint_dir, other))
            if differing:
                ok = False
                notes.append(f"{other['checkpoint']} differs in {differing[0]}")
        print(
            f"{Path(golden).stem:36} {text}  {found['router']:6.4f}  {found['greedy']:6.4f}"
            f"  {len(rows)} {'; '.join(notes)}{'' if ok else '  FAILED'}",
            flush=True,
        )
        failures += not ok
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--new", action="store_true", help="only golden files that are not there")
    parser.add_argument("--only", help="only golden files whose name contains this")
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    transformers.utils.logging.disable_progress_bar()
    failures = run(args)
    if failures:
        print(f"{failures} golden files FAILED", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
