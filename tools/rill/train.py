"""Trains rill from nothing on the text of tasks.py.  CPU only; resumable; an hour on 2 cores.

    torchrun --nproc_per_node 2 tools/rill/train.py --folder run
    (the same command again goes on from run/checkpoint.pt, with the batches that would have come:
    they depend on seed, step and the mixture's accuracies)
    (MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 before it saves glibc many page faults)

What is done, in the order of the code below:
  - data: short examples share a row; tokens see only their own example (most of the time), so
    each is learned exactly as a user types it, at the start of an empty context;
  - loss: answers count fully, few prompt tokens count, plus the balance loss;
  - mixture: kinds that are still answered wrongly are drawn more often, tables apart from the
    rest of their kind;
  - optimiser: Muon (orthogonalised momentum) for the matrices of the layers, Adam for the rest;
  - two processes with one thread each, which sum their gradients: on a busy machine this is
    several times faster than one process with two threads.
"""

import argparse
import json
import os
import random
import time

import export
import lookup
import model
import tasks
import tokenizer as bpe
import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer

ROW, LONG_ROW = 64, 512  # tokens in a row of a usual step, and of every LONG_EVERY-th
LONG_EVERY = 6
JOINED_SHARE = 0.5  # of long rows: their examples see each other
PROMPT_SHARE = 0.03  # of prompt tokens that are trained on
STORY_SHARE = 0.12  # of the examples in long rows
STORY_WEIGHT = 0.3  # a story's tokens are many and partly chance
BALANCE = 0.01
MUON_RATE, ADAM_RATE = 0.02, 3e-3
MUON_DECAY = 0.15  # keeps outputs small enough for the embedding to be heard through them
WARMUP_STEPS = 50
DECAY = [(780, 280), (900, 700)]  # straight lines down: the step where one ends, its steps
FOLLOW_EVERY, EVAL_EVERY, SAVE_EVERY = 5, 200, 100  # steps
# What the mixture draws from: (kind, whether from its table), and its share before it shifts.
ARMS = ({(kind, False): share for kind, (_, share) in tasks.KINDS.items()}
        | {(kind, True): share for kind, share in tasks.TABLES.items()})
ARM_NAMES = [kind + (" (table)" if table else "") for kind, table in ARMS]


class Mixture:
    """Draws examples, the badly answered arms more often, and packs them into rows."""

    def __init__(self, tokenizer: Tokenizer, accuracy: list[float]):
        self.tokenizer = tokenizer
        self.accuracy = accuracy  # moving average, of trained examples; never of the held-out set
        self.rng = random.Random()
        self.waiting: list[tuple[int, list[int], list[float], int]] = []

    def encode(self, arm: int, kind: str, example: tasks.Example):
        """One example as (arm, tokens, weight of each token as a target, length of the prompt)."""
        prompt = self.tokenizer.encode(example.prompt).ids
        answer = self.tokenizer.encode(example.answer).ids + [bpe.END_OF_TEXT]
        weight = STORY_WEIGHT if kind in tasks.NO_ANSWER else 1.0
        heard = [float(self.rng.random() < PROMPT_SHARE) for _ in prompt]
        return arm, prompt + answer, heard + [weight] * len(answer), len(prompt)

    def follow(self, seen: torch.Tensor, right: torch.Tensor) -> None:
        """Moves the accuracy of each arm towards the last batch's."""
        for i in range(len(ARMS)):
            if seen[i] > 0:
                keep = 0.98 ** min(float(seen[i]), 30.0)
                self.accuracy[i] *= keep
                self.accuracy[i] += (1 - keep) * float(right[i] / seen[i])

    def draw(self, long: bool):
        share = [share * (1.15 - self.accuracy[i]) for i, share in enumerate(ARMS.values())]
        story = list(ARMS).index(("story", False))
        share[story] = 0.0  # too long for a short row
        if long:
            share[story] = STORY_SHARE * sum(share)
        arm = self.rng.choices(range(len(ARMS)), share)[0]
        kind, table = list(ARMS)[arm]
        return self.encode(arm, kind, tasks.draw(kind, self.rng, held_out=False, table=table))

    def batch(self, rows: int, length: int, seed: str):
        """tokens, target, weight, document, arm (of answers, else -1): [rows, length]."""
        self.rng.seed(seed)
        self.waiting.clear()  # so that a batch depends on its seed and the accuracies alone
        tokens = torch.full((rows, length + 1), bpe.END_OF_TEXT)
        weight = torch.zeros(rows, length + 1)
        document = torch.zeros(rows, length + 1, dtype=torch.long)
        arm = torch.full((rows, length + 1), -1)
        for row in range(rows):
            joined = length == LONG_ROW and self.rng.random() < JOINED_SHARE
            at = number = 0
            while True:
                while len(self.waiting) < 32:
                    self.waiting.append(self.draw(long=length == LONG_ROW))
                fits = next((i for i, e in enumerate(self.waiting)
                             if len(e[1]) <= length + 1 - at), None)
                if fits is None:
                    break
                number_of_arm, ids, heard, prompt_length = self.waiting.pop(fits)
                end = at + len(ids)
                tokens[row, at:end] = torch.tensor(ids)
                weight[row, at:end] = torch.tensor(heard)
                if not joined:
                    weight[row, at] = 0.0  # nothing to predict it from
                document[row, at:end] = 0 if joined else number
                arm[row, at + prompt_length:end] = number_of_arm
                at, number = end, number + 1
            document[row, at:] = number
        return (tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(),
                weight[:, 1:].contiguous(), document[:, :-1].contiguous(), arm[:, 1:].contiguous())


def learning_rate(step: int) -> float:
    """Warm up, stay, go down in straight lines, ever slower; in units of the peak."""
    decay = min(1.0, max((end - step) / steps for end, steps in DECAY))
    return min(1.0, (step + 1) / WARMUP_STEPS) * decay


def orthogonalise(g: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with all singular values near 1 (Muon's quintic Newton-Schulz)."""
    wide = g if g.shape[-2] <= g.shape[-1] else g.mT
    x = wide.bfloat16()
    x = x / (x.flatten(-2).norm(dim=-1)[..., None, None] + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return (x if wide is g else x.mT).float()


class Muon:
    """Momentum whose update is orthogonalised; an expert tensor is a batch of matrices."""

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.momentum = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for p, momentum in zip(self.parameters, self.momentum):
            momentum.lerp_(p.grad, 0.05)
            update = orthogonalise(p.grad.lerp(momentum, 0.95))
            scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
            p.mul_(1 - rate * MUON_DECAY).add_(update, alpha=-rate * scale)


def split_parameters(net: model.Rill):
    """Matrices of the layers go to Muon; embedding, head, routers and norms to Adam."""
    muon, adam = [], []
    for name, p in net.named_parameters():
        in_layers = name.startswith("layers") and p.ndim >= 2 and "router" not in name
        (muon if in_layers else adam).append(p)
    return muon, adam


def right_answers(wrong, document, arm):
    """Of each arm: examples seen, and examples whose every answer token was the likeliest.

    wrong, document, arm: [rows, length].  In a joined row the examples are not told
    apart, so only rows of usual steps are given to this.
    """
    answer = arm >= 0
    example = torch.arange(len(arm))[:, None] * ROW + document  # a number for each example
    seen, right = torch.zeros(len(ARMS)), torch.zeros(len(ARMS))
    which = torch.full((arm.numel(),), -1).scatter_(0, example[answer], arm[answer])
    errors = torch.zeros(arm.numel()).index_add_(0, example[answer], wrong[answer].float())
    for i in range(len(ARMS)):
        seen[i], right[i] = (which == i).sum(), ((which == i) & (errors == 0)).sum()
    return seen, right


@torch.no_grad()
def held_out_accuracy(net: model.Rill, tokenizer: Tokenizer, samples: int = 50) -> dict:
    """Teacher-forced, which for exact matches is the same as greedy decoding."""
    rng, result = random.Random(99), {}
    for kind in (k for k in tasks.KINDS if k not in tasks.NO_ANSWER):
        examples = [tasks.draw(kind, rng, held_out=True) for _ in range(samples)]
        ids = [(tokenizer.encode(e.prompt).ids,
                tokenizer.encode(e.answer).ids + [bpe.END_OF_TEXT]) for e in examples]
        length = max(len(p) + len(a) for p, a in ids)
        tokens = torch.tensor([p + a + [0] * (length - len(p) - len(a)) for p, a in ids])
        hidden, _ = net(tokens, torch.zeros_like(tokens), torch.bfloat16)
        best = net.logits(hidden).argmax(-1)
        right = sum(best[i, len(p) - 1:len(p) + len(a) - 1].tolist() == a
                    for i, (p, a) in enumerate(ids))
        result[kind] = right / samples
    return result


def average_gradients(net: model.Rill, ranks: int) -> None:
    gradients = [p.grad for p in net.parameters()]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for g, part in zip(gradients, flat.split([g.numel() for g in gradients])):
        g.copy_(part.view_as(g)).div_(ranks)


class Checkpoint:
    """Everything that a run needs to go on: weights, both optimisers, counters, the mixture."""

    def __init__(self, path: str, net: model.Rill, muon: Muon, adam: torch.optim.Optimizer):
        self.path, self.net, self.muon, self.adam = path, net, muon, adam

    def load(self) -> tuple[int, int, list[float]]:
        """Steps done, tokens seen, accuracy of each arm; all zero where there is no file."""
        if not os.path.exists(self.path):
            return 0, 0, [0.0] * len(ARMS)
        saved = torch.load(self.path, weights_only=True)
        self.net.load_state_dict(saved["model"])
        self.adam.load_state_dict(saved["adam"])
        for momentum, value in zip(self.muon.momentum, saved["muon"]):
            momentum.copy_(value)
        return saved["step"], saved["seen_tokens"], saved["accuracy"]

    def save(self, step: int, seen_tokens: int, accuracy: list[float]) -> None:
        torch.save({"model": self.net.state_dict(), "adam": self.adam.state_dict(),
                    "muon": self.muon.momentum, "step": step, "seen_tokens": seen_tokens,
                    "accuracy": accuracy, "vocab": self.net.c.vocab}, self.path + ".new")
        os.replace(self.path + ".new", self.path)  # never half a file


def forward_loss(net: model.Rill, batch):
    """The loss of one batch, its two parts for the log, and which trained targets were missed."""
    tokens, target, weight, document, _ = batch
    hidden, balance = net(tokens, document, torch.bfloat16)
    trained = weight > 0  # only these positions need logits
    logits = net.logits(hidden[trained]).float()
    loss = F.cross_entropy(logits, target[trained], reduction="none")
    loss = (loss * weight[trained]).sum() / weight[trained].sum()
    wrong = torch.zeros(target.shape, dtype=torch.bool)
    wrong[trained] = logits.argmax(-1) != target[trained]
    return loss + BALANCE * balance, (loss.item(), balance.item()), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default="run", help="folder of checkpoint, tokenizer and log")
    parser.add_argument("--steps", type=int, default=DECAY[-1][0],
                        help="stop after so many (the learning rate does not depend on it)")
    parser.add_argument("--tokens", type=int, default=4096, help="per step and process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizer", default="models/rill/rill-q8_0.gguf", metavar="GGUF",
                        help="where the tokenizer is taken from, once per folder")
    args = parser.parse_args()
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        dist.init_process_group("gloo")
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)  # the same weights in every process

    os.makedirs(args.folder, exist_ok=True)
    tokenizer_path = os.path.join(args.folder, "tokenizer.json")
    if rank == 0 and not os.path.exists(tokenizer_path):
        export.save_tokenizer(args.tokenizer, args.folder)
    if ranks > 1:
        dist.barrier()
    tokenizer = Tokenizer.from_file(tokenizer_path)
    net = model.Rill(model.Config(vocab=tokenizer.get_vocab_size()))
    lookup.plant(net, tokenizer)
    muon_parameters, adam_parameters = split_parameters(net)
    muon = Muon(muon_parameters)
    adam = torch.optim.Adam(adam_parameters, lr=ADAM_RATE, betas=(0.9, 0.95), fused=True)
    checkpoint = Checkpoint(os.path.join(args.folder, "checkpoint.pt"), net, muon, adam)
    step, seen_tokens, accuracy = checkpoint.load()
    mixture = Mixture(tokenizer, accuracy)

    def log(**fields) -> None:
        if rank == 0:
            with open(os.path.join(args.folder, "log.jsonl"), "a") as file:
                file.write(json.dumps(fields) + "\n")

    began, began_tokens = time.time(), seen_tokens
    while step < args.steps:
        length = LONG_ROW if step % LONG_EVERY == LONG_EVERY - 1 else ROW
        batch = mixture.batch(args.tokens // length, length, f"{args.seed} {step} {rank}")
        loss, parts, wrong = forward_loss(net, batch)
        loss.backward()
        if ranks > 1:
            average_gradients(net, ranks)

        rate = learning_rate(step)
        for group in adam.param_groups:
            group["lr"] = ADAM_RATE * rate
        adam.step()
        muon.step(MUON_RATE * rate)
        net.zero_grad(set_to_none=True)
        step += 1
        seen_tokens += args.tokens * ranks

        if step % FOLLOW_EVERY == 1 and length == ROW:
            seen, right = right_answers(wrong, document=batch[3], arm=batch[4])
            if ranks > 1:
                dist.all_reduce(seen)
                dist.all_reduce(right)
            mixture.follow(seen, right)
        if step % 20 == 0:
            log(step=step, loss=round(parts[0], 4), balance=round(parts[1], 3),
                rate=round(rate, 4), tokens=seen_tokens, length=length,
                tokens_per_second=round((seen_tokens - began_tokens) / (time.time() - began)))
        if rank == 0 and step % EVAL_EVERY == 0:
            log(step=step, held_out=held_out_accuracy(net, tokenizer),
                trained={name: round(value, 3)
                         for name, value in zip(ARM_NAMES, mixture.accuracy)})
        if rank == 0 and (step % SAVE_EVERY == 0 or step == args.steps):
            checkpoint.save(step, seen_tokens, mixture.accuracy)
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
