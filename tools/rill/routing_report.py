"""Which experts rill uses for which kind of task.

    python tools/rill/routing_report.py models/rill/rill-q8_0.gguf --samples 100

For each layer: how evenly all kinds together load the experts, and how different the kinds' mixes
are, as the mean Jensen-Shannon divergence of two kinds in bits (0: the same mix, 1: no expert in
common).  "same kind" is the divergence of two halves of one kind's examples: what chance gives.
"""

import argparse
import random

import numpy as np
import tasks
import torch
from export import load_hf


def expert_counts(net, tokenizer, examples) -> np.ndarray:
    """Times that each expert was chosen: [layers, experts]."""
    counts = np.zeros((net.config.num_hidden_layers, net.config.num_experts))
    hooks = []
    for i, layer in enumerate(net.model.layers):
        def record(_module, _inputs, output, i=i):
            counts[i] += torch.bincount(output[2].flatten(), minlength=counts.shape[1]).numpy()
        hooks.append(layer.mlp.gate.register_forward_hook(record))
    with torch.no_grad():
        for example in examples:
            net(torch.tensor([tokenizer(example.prompt + example.answer)["input_ids"]]))
    for hook in hooks:
        hook.remove()
    return counts


def shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=-1, keepdims=True)


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=-1)


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits, along the last axis."""
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--samples", type=int, default=100, help="examples of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="print every expert's share, per mille")
    args = parser.parse_args()
    net, tokenizer = load_hf(args.path)
    rng, kinds, halves = random.Random(args.seed), list(tasks.KINDS), []
    for kind in kinds:
        for _ in range(2):
            examples = [tasks.draw(kind, rng, held_out=True) for _ in range(args.samples // 2)]
            halves.append(expert_counts(net, tokenizer, examples))
    halves = np.stack(halves).reshape(len(kinds), 2, *halves[0].shape)
    mix = shares(halves.sum(axis=1))  # [kinds, layers, experts]
    load = mix.mean(axis=0)  # every kind counts the same
    chance = divergence(shares(halves[:, 0]), shares(halves[:, 1])).mean(axis=0)

    print(f"{'layer':<7}{'used':>7}{'least':>8}{'most':>8}{'effective':>11}"
          f"{'two kinds':>11}{'same kind':>11}")
    experts = load.shape[1]
    for i in range(load.shape[0]):
        pairs = [divergence(mix[a, i], mix[b, i]) for a in range(len(kinds)) for b in range(a)]
        print(f"{i:<7}{(load[i] > 0).sum():>4}/{experts}{load[i].min():>8.2%}{load[i].max():>8.2%}"
              f"{2 ** entropy(load[i]):>11.1f}{np.mean(pairs):>11.3f}{chance[i]:>11.3f}")
    print(f"every expert is used: {'yes' if (load > 0).all() else 'NO'}; "
          f"an even load would be {1 / experts:.2%} each\n")

    print("the three busiest experts of each kind, by layer "
          "(share of that kind's choices; 25% is the most)")
    for k, kind in enumerate(kinds):
        best = np.argsort(-mix[k], axis=-1)[:, :3]
        cells = [" ".join(f"{e}:{mix[k, i, e]:.0%}" for e in row) for i, row in enumerate(best)]
        print(f"{kind:<12}" + " | ".join(f"{cell:<20}" for cell in cells))
    if args.full:
        for i in range(load.shape[0]):
            print(f"\nlayer {i}, per mille\n{'':<12}" + "".join(f"{e:>4}" for e in range(experts)))
            for k, kind in enumerate(kinds):
                print(f"{kind:<12}" + "".join(f"{share * 1000:>4.0f}" for share in mix[k, i]))


if __name__ == "__main__":
    main()
