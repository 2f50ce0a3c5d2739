"""The families beyond the first three: small shapes, names of tensors, configurations.

A family is a class: what its tensors are called (GGUF names, Hugging Face names), what its
configuration says in both kinds of files; family.py has what they share. family_formats.py says which
checkpoints there are of each.
"""

import math
from dataclasses import dataclass

import numpy as np
from family import Family


class Qwen2Moe(Family):
    qkv_bias = 0.5

    def moe_specs(self, b):
        gate = {b + "ffn_gate_inp_shexp": ((self.hidden,), 2.0 / math.sqrt(self.hidden), 0.0)}
        return super().moe_specs(b) | gate

    hf_names = Family.hf_names | {
        "ffn_gate_shexp": "mlp.shared_expert.gate_proj.weight",
        "ffn_up_shexp": "mlp.shared_expert.up_proj.weight",
        "ffn_down_shexp": "mlp.shared_expert.down_proj.weight",
        "ffn_gate_inp_shexp": "mlp.shared_expert_gate.weight",
    }

    def hf_tensors(self, weights):
        tensors = super().hf_tensors(weights)
        for name, x in tensors.items():
            if name.endswith("shared_expert_gate.weight"):
                tensors[name] = x.reshape(1, -1)
        return tensors

    def hf_special(self):
        return {
            "decoder_sparse_step": 1,
            "max_window_layers": self.layers,
            "mlp_only_layers": list(range(self.dense_layers)),
            "moe_intermediate_size": self.ff,
            "norm_topk_prob": False,
            "num_experts": self.experts,
            "num_experts_per_tok": self.top_k,
            "shared_expert_intermediate_size": self.shared_ff,
            "sliding_window": None,
            "use_sliding_window": False,
        }

    def gguf_moe(self, w):
        w.add_expert_shared_feed_forward_length(self.shared_ff)


class Llama(Family):
    """Llama 3: RoPE scaled by a rule in config.json, by a tensor of factors in GGUF."""

    permuted = True
    scaling = {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 256,
    }

    def hf_rope(self):  # as Transformers 4 wrote it
        return {"rope_scaling": self.scaling | {"rope_type": "llama3"}, "rope_theta": self.theta}

    def hf_special(self):
        return {"attention_bias": False, "mlp_bias": False}

    def gguf_tensors(self, weights, encoding=""):
        factor, original = self.scaling["factor"], self.scaling["original_max_position_embeddings"]
        low, high = self.scaling["low_freq_factor"], self.scaling["high_freq_factor"]
        factors = []
        for i in range(0, self.head_dim, 2):
            turns = original / (2 * math.pi * self.theta ** (i / self.head_dim))
            smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
            factors.append(1 / ((1 - smooth) / factor + smooth))
        rope = {"rope_freqs.weight": np.array(factors, np.float32)}
        return rope | super().gguf_tensors(weights, encoding)


class Qwen3(Family):
    qk_norm = True

    def hf_special(self):
        return {"attention_bias": False, "sliding_window": None, "use_sliding_window": False}


class GptOss(Family):
    """YaRN with borders that are not rounded, a window on even layers, sinks, biases everywhere."""

    qkv_bias = 0.3
    window = 40
    scaling = {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 32.0,
        "original_max_position_embeddings": 64,
    }
    gguf_renamed = {"ffn_norm": "post_attention_norm"}
    hf_names = Family.hf_names | {
        "attn_sinks": "self_attn.sinks",
        "ffn_gate_inp": "mlp.router.weight",
    }

    def attention_specs(self, b):
        s = super().attention_specs(b)
        s[b + "attn_sinks"] = ((self.heads,), 1.0, 1.0)
        s[b + "attn_output.bias"] = ((self.hidden,), 0.3, 0.0)
        return s

    def moe_specs(self, b):
        s = super().moe_specs(b)
        e, f, h = self.experts, self.ff, self.hidden
        # Wide enough that gates and ups beyond the limit of 7 occur.
        for part in ("gate", "up"):
            shape, std, mean = s[f"{b}ffn_{part}_exps"]
            s[f"{b}ffn_{part}_exps"] = (shape, 2 * std, mean)
            s[f"{b}ffn_{part}_exps.bias"] = ((e, f), 1.0, 0.0)
        s[b + "ffn_down_exps"] = (s[b + "ffn_down_exps"][0], 0.3 / math.sqrt(f), 0.0)
        s[b + "ffn_down_exps.bias"] = ((e, h), 0.3, 0.0)
        s[b + "ffn_gate_inp.bias"] = ((e,), 0.5, 0.0)
        return s

    def hf_tensors(self, weights):
        # Matrices [in, out], columns of gate and up in turns.
        tensors = {}
        rest = {}
        for name, x in weights.items():
            if "_exps" not in name:
                rest[name] = x
        for n in range(self.layers):
            b, prefix = f"blk.{n}.ffn_", f"model.layers.{n}.mlp.experts."
            both = [weights[b + "gate_exps"], weights[b + "up_exps"]]
            fused = np.stack(both, axis=2).reshape(self.experts, 2 * self.ff, self.hidden)
            tensors[prefix + "gate_up_proj"] = fused.swapaxes(1, 2)
            biases = [weights[b + "gate_exps.bias"], weights[b + "up_exps.bias"]]
            tensors[prefix + "gate_up_proj_bias"] = np.stack(biases, axis=2).reshape(
                self.experts, 2 * self.ff
            )
            tensors[prefix + "down_proj"] = weights[b + "down_exps"].swapaxes(1, 2)
            tensors[prefix + "down_proj_bias"] = weights[b + "down_exps.bias"]
        return super().hf_tensors(rest) | tensors

    def hf_rope(self):
        yarn = {"rope_theta": self.theta, "rope_type": "yarn", "truncate": False}
        return {"rope_parameters": self.scaling | yarn}

    def hf_special(self):
        kinds = ["sliding_attention", "full_attention"]
        return {
            "attention_bias": True,
            "intermediate_size": self.ff,
            "layer_types": [kinds[n % 2] for n in range(self.layers)],
            "num_experts_per_tok": self.top_k,
            "num_local_experts": self.experts,
            "sliding_window": self.window,
            "swiglu_limit": 7.0,
        }

    def gguf_attention(self, w, encoding):
        super().gguf_attention(w, encoding)
        w.add_sliding_window(self.window)
        gguf_yarn(w, self.scaling)


def gguf_yarn(w, scaling):
    import gguf

    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(scaling["factor"])
    w.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])


@dataclass(frozen=True)
class DeepSeek2(Family):
    """Latent attention; `head_dim` is what turns. groups: (groups, groups used)."""

    q_rank: int = 0
    kv_rank: int = 64
    nope: int = 32
    value: int = 48
    groups: tuple = ()
    scale: float = 1.0

    scaling = {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 40.0,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 64,
    }
    hf_names = Family.hf_names | {
        "attn_q_a": "self_attn.q_a_proj.weight",
        "attn_q_a_norm": "self_attn.q_a_layernorm.weight",
        "attn_q_b": "self_attn.q_b_proj.weight",
        "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa.weight",
        "attn_kv_a_norm": "self_attn.kv_a_layernorm.weight",
        "attn_kv_b": "self_attn.kv_b_proj.weight",
    }

    def attention_specs(self, b):
        h, r, q_dim = self.hidden, self.kv_rank, self.nope + self.head_dim
        s = {}
        q_from, q_name = h, b + "attn_q"
        if self.q_rank:
            s[b + "attn_q_a"] = ((self.q_rank, h), 1.0 / math.sqrt(h), 0.0)
            s[b + "attn_q_a_norm"] = ((self.q_rank,), 0.2, 1.0)
            q_from, q_name = self.q_rank, b + "attn_q_b"
        s[q_name] = ((self.heads * q_dim, q_from), 1.2 / math.sqrt(q_from), 0.0)
        s[b + "attn_kv_a_mqa"] = ((r + self.head_dim, h), 1.2 / math.sqrt(h), 0.0)
        s[b + "attn_kv_a_norm"] = ((r,), 0.2, 1.0)
        rows = self.heads * (self.nope + self.value)
        s[b + "attn_kv_b"] = ((rows, r), 1.2 / math.sqrt(r), 0.0)
        out = self.heads * self.value
        s[b + "attn_output"] = ((h, out), 1.2 / math.sqrt(out), 0.0)
        return s

    def wide(self, **more):
        more |= {"kv_rank": 256, "q_rank": 256 if self.q_rank else 0, "value": 64, "head_dim": self.head_dim}
        return super().wide(**more)

    def gguf_tensors(self, weights, encoding=""):
        tensors = super().gguf_tensors(weights, encoding)
        if encoding != "mla":
            return tensors
        for n in range(self.layers):  # what later converters make of kv_b
            kv_b = tensors.pop(f"blk.{n}.attn_kv_b.weight")
            kv_b = kv_b.reshape(self.heads, self.nope + self.value, self.kv_rank)
            k_b, v_b = kv_b[:, : self.nope], kv_b[:, self.nope :]
            tensors[f"blk.{n}.attn_k_b.weight"] = np.ascontiguousarray(k_b.swapaxes(1, 2))
            tensors[f"blk.{n}.attn_v_b.weight"] = np.ascontiguousarray(v_b)
        return tensors

    def gguf_attention(self, w, encoding):
        q_dim = self.nope + self.head_dim
        if encoding == "mla":
            w.add_head_count_kv(1)
            w.add_key_length(self.kv_rank + self.head_dim)
            w.add_value_length(self.kv_rank)
            w.add_key_length_mla(q_dim)
            w.add_value_length_mla(self.value)
        else:
            w.add_head_count_kv(self.heads)
            w.add_key_length(q_dim)
            w.add_value_length(self.value)
        if self.q_rank:
            w.add_q_lora_rank(self.q_rank)
        w.add_kv_lora_rank(self.kv_rank)
        w.add_rope_dimension_count(self.rotated)
        gguf_yarn(w, self.scaling)
        w.add_rope_scaling_yarn_log_mul(0.1 * self.scaling["mscale_all_dim"])

    def gguf_moe(self, w):
        w.add_leading_dense_block_count(self.dense_layers)
        w.add_expert_shared_count(self.shared_ff // self.ff)
        w.add_expert_weights_scale(self.scale)
        w.add_expert_weights_norm(False)
        if self.groups:
            w.add_expert_group_count(self.groups[0])
            w.add_expert_group_used_count(self.groups[1])

    def hf_sizes(self):
        sizes = super().hf_sizes()
        del sizes["head_dim"]
        return sizes | {"num_key_value_heads": self.heads}

    def hf_rope(self):  # as DeepSeek's own files have it
        return {"rope_scaling": self.scaling | {"type": "yarn"}, "rope_theta": self.theta}

    def hf_special(self):
        c = {
            "first_k_dense_replace": self.dense_layers,
            "kv_lora_rank": self.kv_rank,
            "moe_intermediate_size": self.ff,
            "moe_layer_freq": 1,
            "n_routed_experts": self.experts,
            "n_shared_experts": self.shared_ff // self.ff,
            "norm_topk_prob": False,
            "num_experts_per_tok": self.top_k,
            "q_lora_rank": self.q_rank or None,
            "qk_nope_head_dim": self.nope,
            "qk_rope_head_dim": self.head_dim,
            "routed_scaling_factor": self.scale,
            "scoring_func": "softmax",
            "topk_method": "group_limited_greedy" if self.groups else "greedy",
            "v_head_dim": self.value,
        }
        if self.groups:
            c |= {"n_group": self.groups[0], "topk_group": self.groups[1]}
        return c


class DeepSeek(Family):
    """Transformers lacks it: make_goldens.py says how it is witnessed."""

    permuted = True

    def hf_special(self):
        return {
            "attention_bias": False,
            "first_k_dense_replace": self.dense_layers,
            "moe_intermediate_size": self.ff,
            "moe_layer_freq": 1,
            "n_routed_experts": self.experts,
            "n_shared_experts": self.shared_ff // self.ff,
            "norm_topk_prob": False,
            "num_experts_per_tok": self.top_k,
            "scoring_func": "softmax",
        }

    def gguf_moe(self, w):
        w.add_leading_dense_block_count(self.dense_layers)
        w.add_expert_shared_count(self.shared_ff // self.ff)
        w.add_expert_weights_scale(1.0)


@dataclass(frozen=True)
class Glm4Moe(Family):
    """Half of each head turns; a layer that guesses a further token lies behind the last."""

    with_qk_norm: bool = True
    scale: float = 2.5

    gguf_renamed = {"ffn_norm": "post_attention_norm"}
    qkv_bias = 0.3
    router_gain = 1.0

    @property
    def qk_norm(self):
        return self.with_qk_norm

    def moe_specs(self, b):
        return super().moe_specs(b) | {b + "exp_probs_b.bias": ((self.experts,), 0.2, 0.0)}

    hf_names = Family.hf_names | {"exp_probs_b.bias": "mlp.gate.e_score_correction_bias"}

    @property
    def rotated(self):
        return self.head_dim // 2

    def gguf_moe(self, w):
        import gguf

        w.add_leading_dense_block_count(self.dense_layers)
        w.add_expert_shared_count(self.shared_ff // self.ff)
        w.add_expert_weights_scale(self.scale)
        w.add_expert_weights_norm(True)
        w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)

    def hf_special(self):
        return {
            "attention_bias": True,
            "first_k_dense_replace": self.dense_layers,
            "moe_intermediate_size": self.ff,
            "n_group": 1,
            "n_routed_experts": self.experts,
            "n_shared_experts": self.shared_ff // self.ff,
            "norm_topk_prob": True,
            "num_experts_per_tok": self.top_k,
            "partial_rotary_factor": 0.5,
            "routed_scaling_factor": self.scale,
            "topk_group": 1,
            "use_qk_norm": self.with_qk_norm,
        }

    def hf_rope(self):  # as GLM's own files have it
        return {"rope_theta": self.theta, "rope_scaling": None}


class Dbrx(Family):
    clip = 1.5

    hf_names = {
        "attn_norm": "norm_attn_norm.norm_1.weight",
        "attn_qkv": "norm_attn_norm.attn.Wqkv.weight",
        "attn_output": "norm_attn_norm.attn.out_proj.weight",
        "ffn_norm": "norm_attn_norm.norm_2.weight",
        "ffn_gate_inp": "ffn.router.layer.weight",
    }
    hf_top = {
        "token_embd": "transformer.wte.weight",
        "output_norm": "transformer.norm_f.weight",
        "output": "lm_head.weight",
    }
    hf_layer = "transformer.blocks.{}."
    gguf_renamed = {"ffn_norm": "attn_output_norm"}

    def attention_specs(self, b):
        s = super().attention_specs(b)
        shapes = [s.pop(b + part) for part in ("attn_q", "attn_k", "attn_v")]
        rows = sum(shape[0] for shape, _, _ in shapes)
        s[b + "attn_qkv"] = ((rows, self.hidden), 1.4 / math.sqrt(self.hidden), 0.0)
        return s

    def hf_experts(self, prefix, part, x):
        name = {"gate": "w1", "up": "v1", "down": "w2"}[part.split("_")[1]]
        if name == "w2":
            x = x.swapaxes(1, 2)
        return {f"{prefix}ffn.experts.mlp.{name}": x.reshape(-1, self.hidden)}

    def hf_config(self):
        return {
            "attn_config": {
                "clip_qkv": self.clip,
                "kv_n_heads": self.kv_heads,
                "model_type": "",
                "rope_theta": self.theta,
            },
            "d_model": self.hidden,
            "ffn_config": {
                "ffn_act_fn": {"name": "silu"},
                "ffn_hidden_size": self.ff,
                "hidden_size": self.hidden,
                "model_type": "",
                "moe_normalize_expert_weights": 1.0,
                "moe_num_experts": self.experts,
                "moe_top_k": self.top_k,
            },
            "max_seq_len": self.context,
            "n_heads": self.heads,
            "n_layers": self.layers,
            "rope_parameters": {"rope_theta": self.theta, "rope_type": "default"},
        }

    def gguf_metadata(self, w, encoding=""):
        w.add_block_count(self.layers)
        w.add_context_length(self.context)
        w.add_embedding_length(self.hidden)
        w.add_feed_forward_length(self.ff)
        w.add_head_count(self.heads)
        w.add_head_count_kv(self.kv_heads)
        w.add_rope_freq_base(self.theta)
        w.add_clamp_kqv(self.clip)
        w.add_layer_norm_eps(1e-5)
        w.add_vocab_size(self.vocab)
        w.add_expert_count(self.experts)
        w.add_expert_used_count(self.top_k)


FAMILIES = [
    Qwen2Moe("qwen2moe", "qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", hidden=96, ff=48,
             shared_ff=80, heads=3, kv_heads=3, experts=12, top_k=4, theta=1e6, eps=1e-6),
    Llama("llama", "llama", "llama", "LlamaForCausalLM", theta=5e5),
    Qwen3("qwen3", "qwen3", "qwen3", "Qwen3ForCausalLM", theta=1e6, eps=1e-6, tied=True),
    GptOss("gpt-oss", "gpt-oss", "gpt_oss", "GptOssForCausalLM", experts=8, top_k=4, theta=1.5e5),
    # V2-Lite: queries from one matrix; then V2: from a latent vector, experts of 2 of 4 groups.
    DeepSeek2("deepseek2-lite", "deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM", layers=3, dense_layers=1,
              experts=8, top_k=3, shared_ff=64, eps=1e-6, encodings=("", "mla")),
    DeepSeek2("deepseek2", "deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM", layers=3, dense_layers=1,
              experts=16, top_k=3, shared_ff=64, eps=1e-6, q_rank=48, groups=(4, 2), scale=4.0,
              head_dim=16, encodings=("", "mla")),
    DeepSeek("deepseek", "deepseek", "deepseek", "DeepseekForCausalLM", layers=3, dense_layers=1, kv_heads=4,
             experts=8, top_k=3, shared_ff=64, eps=1e-6),
    Glm4Moe("glm4moe", "glm4moe", "glm4_moe", "Glm4MoeForCausalLM", layers=3, dense_layers=1, experts=8,
            top_k=3, shared_ff=32, theta=1e6),
    # GLM-4.5-Air has no QK-norm.
    Glm4Moe("glm4moe-air", "glm4moe", "glm4_moe", "Glm4MoeForCausalLM", layers=3, dense_layers=1, experts=8,
            top_k=3, shared_ff=32, theta=1e6, with_qk_norm=False),
    Dbrx("dbrx", "dbrx", "dbrx", "DbrxForCausalLM", hidden=128, experts=8, top_k=3, theta=5e5),
]
