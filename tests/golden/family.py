"""What the families of more_families.py share: Llama's tensors, their names and configuration.

Weights are made under GGUF names, in Hugging Face's order of rows and columns; GGUF's order is what
`gguf_tensors` makes of them, as llama.cpp's converters do.
"""

import math
from dataclasses import dataclass, replace

import numpy as np


def permute(x, heads):
    """Rows of Q or K from rotate-half order to the adjacent-pair order of GGUF's llama."""
    rows, rest = x.shape[0], x.shape[1:]
    pairs = x.reshape(heads, 2, rows // heads // 2, *rest)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(x.shape))


@dataclass(frozen=True)
class Family:
    """Llama with whatever the subclasses add. A model without experts has experts = 0."""

    name: str
    gguf_architecture: str
    model_type: str
    hf_class: str
    layers: int = 2
    dense_layers: int = 0
    hidden: int = 64
    ff: int = 32  # of an expert
    dense_ff: int = 96
    shared_ff: int = 0
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    experts: int = 0
    top_k: int = 0
    vocab: int = 320
    theta: float = 1e4
    eps: float = 1e-5
    tied: bool = False
    context: int = 2048
    encodings: tuple = ("",)  # ways of writing the same weights as GGUF

    family = "olmoe"  # whose kind of tokenizer it has
    permuted = False  # Q and K rows in GGUF
    qk_norm = False  # per head
    qkv_bias = 0.0  # standard deviation of the biases of Q, K and V; 0: there are none
    router_gain = 2.0

    @property
    def rotated(self):  # numbers of a head that turn
        return self.head_dim

    def wide(self, **more):
        """The same family, with all rows of matrices a multiple of 256 where the family has the choice."""
        sizes = {
            "hidden": 256,
            "ff": 256,
            "dense_ff": 256,
            "shared_ff": 256 * (self.shared_ff // self.ff),
            "layers": 2,
            "heads": 4,
            "kv_heads": 4 if self.kv_heads == self.heads else 2,
            "head_dim": 64,
        }
        return replace(self, name=self.name + "-wide", **sizes | more)

    # --- Weights: name -> (shape, std, mean)

    def attention_specs(self, b):
        h, q, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        gain = 1.0 if self.qk_norm else 1.5
        s = {
            b + "attn_q": ((q, h), gain / math.sqrt(h), 0.0),
            b + "attn_k": ((kv, h), gain / math.sqrt(h), 0.0),
            b + "attn_v": ((kv, h), 1.2 / math.sqrt(h), 0.0),
            b + "attn_output": ((h, q), 1.2 / math.sqrt(q), 0.0),
        }
        if self.qk_norm:
            s[b + "attn_q_norm"] = ((self.head_dim,), 0.2, 1.4)
            s[b + "attn_k_norm"] = ((self.head_dim,), 0.2, 1.4)
        if self.qkv_bias:
            for part, rows in (("q", q), ("k", kv), ("v", kv)):
                s[f"{b}attn_{part}.bias"] = ((rows,), self.qkv_bias, 0.0)
        return s

    def ffn_specs(self, b, suffix, width):
        h = self.hidden
        return {
            f"{b}ffn_gate{suffix}": ((width, h), 1.5 / math.sqrt(h), 0.0),
            f"{b}ffn_up{suffix}": ((width, h), 1.5 / math.sqrt(h), 0.0),
            f"{b}ffn_down{suffix}": ((h, width), 1.5 / math.sqrt(width), 0.0),
        }

    def moe_specs(self, b):
        h, e = self.hidden, self.experts
        s = {b + "ffn_gate_inp": ((e, h), self.router_gain / math.sqrt(h), 0.0)}
        for name, (shape, std, mean) in self.ffn_specs(b, "_exps", self.ff).items():
            s[name] = ((e, *shape), std, mean)
        if self.shared_ff:
            s |= self.ffn_specs(b, "_shexp", self.shared_ff)
        return s

    def tensor_specs(self):
        h = self.hidden
        specs = {"token_embd": ((self.vocab, h), 1.5 / math.sqrt(h) if self.tied else 0.7, 0.0)}
        for n in range(self.layers):
            b = f"blk.{n}."
            specs[b + "attn_norm"] = ((h,), 0.2, 1.0)
            specs |= self.attention_specs(b)
            specs[b + "ffn_norm"] = ((h,), 0.2, 1.0)
            dense = not self.experts or n < self.dense_layers
            specs |= self.ffn_specs(b, "", self.dense_ff) if dense else self.moe_specs(b)
        specs["output_norm"] = ((h,), 0.2, 1.0)
        if not self.tied:
            specs["output"] = ((self.vocab, h), 1.5 / math.sqrt(h), 0.0)
        return specs

    # --- GGUF

    gguf_renamed = {}  # part of a layer -> what GGUF calls it

    def gguf_tensors(self, weights, encoding=""):
        """GGUF name with its suffix -> float32 values in GGUF's order."""
        tensors = {}
        for name, x in weights.items():
            head, _, part = name.rpartition(".")
            if self.permuted and part in ("attn_q", "attn_k"):
                x = permute(x, self.heads if part == "attn_q" else self.kv_heads)
            part = self.gguf_renamed.get(part, part)
            name = f"{head}.{part}" if head else part
            tensors[name if name.endswith(".bias") else name + ".weight"] = x
        return tensors

    def weights_from_gguf(self, tensors, encoding=""):
        """The inverse of gguf_tensors: float32 values by GGUF name -> weights."""
        places, count = {}, 0
        for name, (shape, _, _) in self.tensor_specs().items():
            places[name] = np.arange(count, count + math.prod(shape)).reshape(shape)
            count += places[name].size
        values = np.empty(count, np.float32)
        for name, place in self.gguf_tensors(places, encoding).items():
            if place.dtype.kind == "i":  # else it is no weight: factors of RoPE
                values[place] = tensors[name].reshape(place.shape)
        return {name: values[place] for name, place in places.items()}

    def gguf_metadata(self, w, encoding=""):
        w.add_block_count(self.layers)
        w.add_context_length(self.context)
        w.add_embedding_length(self.hidden)
        w.add_feed_forward_length(self.dense_ff)
        w.add_head_count(self.heads)
        self.gguf_attention(w, encoding)
        w.add_layer_norm_rms_eps(self.eps)
        w.add_rope_freq_base(self.theta)
        w.add_vocab_size(self.vocab)
        if self.experts:
            w.add_expert_count(self.experts)
            w.add_expert_used_count(self.top_k)
            w.add_expert_feed_forward_length(self.ff)
            self.gguf_moe(w)

    def gguf_attention(self, w, encoding):
        w.add_head_count_kv(self.kv_heads)
        w.add_key_length(self.head_dim)
        w.add_value_length(self.head_dim)
        w.add_rope_dimension_count(self.rotated)

    def gguf_moe(self, w):
        pass

    # --- Hugging Face

    hf_names = {
        "attn_norm": "input_layernorm.weight",
        "attn_q": "self_attn.q_proj.weight",
        "attn_k": "self_attn.k_proj.weight",
        "attn_v": "self_attn.v_proj.weight",
        "attn_output": "self_attn.o_proj.weight",
        "attn_q_norm": "self_attn.q_norm.weight",
        "attn_k_norm": "self_attn.k_norm.weight",
        "ffn_norm": "post_attention_layernorm.weight",
        "ffn_gate": "mlp.gate_proj.weight",
        "ffn_up": "mlp.up_proj.weight",
        "ffn_down": "mlp.down_proj.weight",
        "ffn_gate_inp": "mlp.gate.weight",
        "ffn_gate_shexp": "mlp.shared_experts.gate_proj.weight",
        "ffn_up_shexp": "mlp.shared_experts.up_proj.weight",
        "ffn_down_shexp": "mlp.shared_experts.down_proj.weight",
    }
    hf_top = {
        "token_embd": "model.embed_tokens.weight",
        "output_norm": "model.norm.weight",
        "output": "lm_head.weight",
    }
    hf_layer = "model.layers.{}."

    def hf_tensors(self, weights):
        tensors = {}
        for name, x in weights.items():
            if name in self.hf_top:
                tensors[self.hf_top[name]] = x
                continue
            _, layer, part = name.split(".", 2)
            prefix = self.hf_layer.format(layer)
            if part.endswith("_exps"):
                tensors |= self.hf_experts(prefix, part, x)
            elif part.endswith(".bias") and part not in self.hf_names:
                of = self.hf_names[part.removesuffix(".bias")]
                tensors[prefix + of.replace("weight", "bias")] = x
            else:
                tensors[prefix + self.hf_names[part]] = x
        return tensors

    def hf_experts(self, prefix, part, x):
        matrix = part.split("_")[1]
        return {f"{prefix}mlp.experts.{e}.{matrix}_proj.weight": x[e] for e in range(self.experts)}

    def hf_config(self):
        """All but what every config.json has."""
        return self.hf_sizes() | self.hf_rope() | self.hf_special()

    def hf_sizes(self):
        return {
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.dense_ff,
            "max_position_embeddings": self.context,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": self.eps,
            "head_dim": self.head_dim,
        }

    def hf_rope(self):
        return {"rope_parameters": {"rope_theta": self.theta, "rope_type": "default"}}

    def hf_special(self):
        return {}
