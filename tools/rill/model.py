"""A Qwen3-MoE language model in plain PyTorch, written to be read and to train fast on a CPU.

The same mathematics as `Qwen3MoeForCausalLM` in Hugging Face Transformers (export.py checks the
logits against it).  Each layer is attention, then a mixture of experts: a router gives every
token a score per expert, the token visits only its `top_k` best experts, and their outputs are
summed with the scores as weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


# Row counts of the experts' products are multiples of this, so that few shapes occur: oneDNN
# compiles a bfloat16 kernel for every new shape, which takes longer than the product itself.
ALIGN = 64


@dataclass(frozen=True)
class Config:
    vocab: int
    hidden: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 2
    head_dim: int = 32
    experts: int = 32
    top_k: int = 4
    expert_hidden: int = 64
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    context: int = 512


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), gain))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


def linear(out_size: int, in_size: int, gain: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.randn(out_size, in_size) * gain * in_size**-0.5)


class Attention(nn.Module):
    """Grouped-query attention with a norm on each head's query and key, and rotary positions."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.q = linear(c.heads * c.head_dim, c.hidden)
        self.k = linear(c.kv_heads * c.head_dim, c.hidden)
        self.v = linear(c.kv_heads * c.head_dim, c.hidden)
        self.o = linear(c.hidden, c.heads * c.head_dim, gain=0.2)
        # A head's largest score is sqrt(head_dim) times both gains.  With gains of 1, heads of 32
        # cannot attend sharply enough to find one key among many, and gains grow slowly.
        self.q_norm = RmsNorm(c.head_dim, c.norm_eps, gain=1.5)
        self.k_norm = RmsNorm(c.head_dim, c.norm_eps, gain=1.5)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        c, (batch, length, _) = self.c, x.shape
        qkv = x @ torch.cat([self.q, self.k, self.v]).to(x.dtype).T
        heads = qkv.view(batch, length, -1, c.head_dim).transpose(1, 2)
        q, k, v = heads.split([c.heads, c.kv_heads, c.kv_heads], dim=1)
        q, k = rotate(self.q_norm(q), rope), rotate(self.k_norm(k), rope)
        # Query heads of one group share a key head, so they stack into the rows of one product.
        q = q.reshape(batch, c.kv_heads, -1, c.head_dim) * c.head_dim**-0.5
        scores = (q @ k.transpose(-1, -2)).view(batch, c.heads, length, length) + mask
        share = scores.softmax(dim=-1).view(batch, c.kv_heads, -1, length)
        y = (share @ v).view(batch, c.heads, length, c.head_dim)
        return y.transpose(1, 2).reshape(batch, length, -1) @ self.o.to(x.dtype).T


def rope_frequency(c: Config) -> Tensor:
    return c.rope_theta ** (-torch.arange(0, c.head_dim, 2) / c.head_dim)


def rope_table(c: Config, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    frequency = rope_frequency(c)
    angle = torch.arange(length)[:, None] * torch.cat([frequency, frequency])
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * rope[0] + torch.cat([-second, first], dim=-1) * rope[1]


class Place(torch.autograd.Function):
    """Row i of `x` goes to row `place[i]` of a taller, otherwise zero, tensor."""

    @staticmethod
    def forward(ctx, x: Tensor, place: Tensor, height: int) -> Tensor:
        ctx.save_for_backward(place)
        return x.new_zeros(height, x.shape[1]).index_copy_(0, place, x)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad.index_select(0, ctx.saved_tensors[0]), None, None


class Take(torch.autograd.Function):
    """The reverse of `Place`.  As no row is taken twice, its gradient needs no sum."""

    @staticmethod
    def forward(ctx, x: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.height = x.shape[0]
        return x.index_select(0, place)

    @staticmethod
    def backward(ctx, grad: Tensor):
        y = grad.new_zeros(ctx.height, grad.shape[1])
        return y.index_copy_(0, ctx.saved_tensors[0], grad), None


class GroupedMatmul(torch.autograd.Function):
    """Rows of `x` lie sorted by expert; rows of expert e are multiplied by `weight[e].T`."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, ends: list[int]) -> Tensor:
        low = weight.to(x.dtype)
        y = x.new_empty(x.shape[0], weight.shape[1])
        for e, rows in enumerate(spans(ends)):
            torch.mm(x[rows], low[e].T, out=y[rows])
        ctx.save_for_backward(x, low)
        ctx.ends = ends
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, low = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x, grad_weight = torch.empty_like(x), torch.empty_like(low)
        for e, rows in enumerate(spans(ctx.ends)):
            torch.mm(grad[rows], low[e], out=grad_x[rows])
            torch.mm(grad[rows].T, x[rows], out=grad_weight[e])
        return grad_x, grad_weight.float(), None


def spans(ends: list[int]) -> list[slice]:
    return [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends)]


class Experts(nn.Module):
    """The mixture of experts: router, dispatch, SwiGLU experts, weighted sum."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.router = linear(c.experts, c.hidden)
        self.gate = nn.Parameter(torch.randn(c.experts, c.expert_hidden, c.hidden) * c.hidden**-0.5)
        self.up = nn.Parameter(torch.randn(c.experts, c.expert_hidden, c.hidden) * c.hidden**-0.5)
        self.down = nn.Parameter(
            torch.randn(c.experts, c.hidden, c.expert_hidden) * 0.2 * c.expert_hidden**-0.5)
        self.chosen: Tensor | None = None  # [tokens, top_k] experts of the last forward pass

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the output and the load-balancing loss of this layer."""
        c = self.c
        flat = x.reshape(-1, c.hidden)  # [tokens, hidden]
        probability = (flat.float() @ self.router.T).softmax(dim=-1)  # [tokens, experts]
        weight, chosen = probability.topk(c.top_k, dim=-1)  # [tokens, top_k]
        weight = weight / weight.sum(dim=-1, keepdim=True)
        self.chosen = chosen

        # Dispatch: one row per (token, chosen expert), sorted by expert.  Each expert's rows are
        # padded with zeros to a multiple of ALIGN.
        expert = chosen.flatten()
        order = expert.argsort()
        count = expert.bincount(minlength=c.experts)
        padded = (count + ALIGN - 1) // ALIGN * ALIGN
        shift = (padded.cumsum(0) - padded) - (count.cumsum(0) - count)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order)) + shift[expert[order]]
        ends = padded.cumsum(0).tolist()
        copies = flat[:, None].expand(-1, c.top_k, -1).reshape(-1, c.hidden)
        rows = Place.apply(copies, place, ends[-1])

        hidden = F.silu(GroupedMatmul.apply(rows, self.gate, ends))
        hidden = hidden * GroupedMatmul.apply(rows, self.up, ends)
        rows = GroupedMatmul.apply(hidden, self.down, ends)

        # Combine: back to token order, weighted.
        outputs = Take.apply(rows, place).view(-1, c.top_k, c.hidden)
        y = torch.bmm(weight.to(x.dtype)[:, None], outputs)

        # Switch Transformer's balance loss (arXiv 2101.03961, eq. 4): 1 when the load is even.
        # `share` is a count and has no gradient; the mean probability carries it.
        share = count / count.sum()
        balance = c.experts * (share * probability.mean(dim=0)).sum()
        return y.view_as(x), balance


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.attention_norm = RmsNorm(c.hidden, c.norm_eps)
        self.attention = Attention(c)
        self.experts_norm = RmsNorm(c.hidden, c.norm_eps)
        self.experts = Experts(c)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor):
        x = x + self.attention(self.attention_norm(x), rope, mask)
        y, balance = self.experts(self.experts_norm(x))
        return x + y, balance


class Rill(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.embedding = nn.Parameter(torch.randn(c.vocab, c.hidden))
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = RmsNorm(c.hidden, c.norm_eps)
        self.head = linear(c.vocab, c.hidden, gain=0.1)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.head.to(hidden.dtype).T

    def forward(self, tokens: Tensor, document: Tensor, dtype=torch.float32):
        """tokens, document: [batch, length].  A token attends to earlier tokens of its document.

        Returns the last hidden states [batch, length, hidden] (see `logits`) and the mean
        balance loss of the layers.
        """
        length = tokens.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        mask = (document[:, None, :, None] == document[:, None, None, :]) & causal
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, float("-inf"))
        rope = rope_table(self.c, length, dtype)
        x = F.embedding(tokens, self.embedding).to(dtype)
        total = 0.0
        for layer in self.layers:
            x, balance = layer(x, rope, mask)
            total = total + balance
        return self.norm(x), total / len(self.layers)
