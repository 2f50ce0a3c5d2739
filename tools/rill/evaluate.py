"""How often rill's GGUF answers exactly right on prompts that it never saw in training.

    python tools/rill/evaluate.py models/rill/rill-q8_0.gguf --samples 200 --seed 1

Greedy decoding by Hugging Face Transformers (Qwen3MoeForCausalLM, float32) on the dequantised
weights and with the tokenizer of the GGUF itself.  An answer is right if all of its text is, and
the end-of-text token follows.  Questions from fixed tables are trained: they have their own rows,
and all of a table is asked.
A story is counted as good if it names the animal and the thing that were asked for and ends.
"""

import argparse
import random
import time
from collections import defaultdict

import tasks
import torch
from export import load_hf

BATCH = 64
MAX_NEW_TOKENS = {"story": 200}  # others: ANSWER_TOKENS
ANSWER_TOKENS = 48
WHOLE_TABLE = 1000  # more than any table has; so many are drawn that each question occurs


def distinct_examples(kind: str, samples: int, rng: random.Random, table: bool):
    """Up to `samples` examples with different prompts; fewer where the kind has fewer."""
    found = {}
    for _ in range(samples * 100):
        example = tasks.KINDS[kind][0](rng)
        if (example.table if table else tasks.is_held_out(example)):
            found.setdefault(example.prompt, example)
        if len(found) == samples:
            break
    return list(found.values())


@torch.no_grad()
def continuations(net, tokenizer, prompts: list[str], limit: int) -> list[str | None]:
    """Greedy continuations, None for one that does not end within `limit` tokens."""
    by_length = defaultdict(list)  # prompts of one length share a batch without padding
    for i, prompt in enumerate(prompts):
        by_length[len(tokenizer(prompt)["input_ids"])].append(i)
    result: list[str | None] = [None] * len(prompts)
    end = tokenizer.eos_token_id
    for length, group in by_length.items():
        for begin in range(0, len(group), BATCH):
            part = group[begin:begin + BATCH]
            tokens = torch.tensor([tokenizer(prompts[i])["input_ids"] for i in part])
            output = net.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False,
                                  max_new_tokens=limit, eos_token_id=end, pad_token_id=end)
            for i, ids in zip(part, output[:, length:].tolist()):
                if end in ids:
                    result[i] = tokenizer.decode(ids[:ids.index(end)])
    return result


def is_right(kind: str, example: tasks.Example, text: str | None) -> bool:
    if text is None:
        return False
    if kind in tasks.NO_ANSWER:
        words = example.prompt.rstrip(".").split()
        return words[-4] in text and words[-1] in text
    return text == example.answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--samples", type=int, default=200, help="prompts of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wrong", action="store_true", help="print the wrong answers")
    parser.add_argument("--stories", type=int, default=2, help="stories to print")
    args = parser.parse_args()
    net, tokenizer = load_hf(args.path)
    rng, began = random.Random(args.seed), time.time()
    all_right = all_asked = 0
    print(f"{'kind':<20}{'prompts':>8}{'exact':>8}{'share':>8}")
    for table in (False, True):
        for kind in tasks.KINDS:
            samples = WHOLE_TABLE if table else args.samples
            examples = distinct_examples(kind, samples, rng, table)
            if not examples:
                continue
            limit = MAX_NEW_TOKENS.get(kind, ANSWER_TOKENS)
            texts = continuations(net, tokenizer, [e.prompt for e in examples], limit)
            right = [is_right(kind, e, text) for e, text in zip(examples, texts)]
            name = f"{kind} (trained)" if table else kind
            print(f"{name:<20}{len(right):>8}{sum(right):>8}{sum(right) / len(right):>8.1%}")
            if not table and kind not in tasks.NO_ANSWER:
                all_right, all_asked = all_right + sum(right), all_asked + len(right)
            for example, text, ok in zip(examples, texts, right):
                if args.wrong and not ok:
                    print(f"  {example.prompt}|{text}| not |{example.answer}")
            if kind in tasks.NO_ANSWER and not table:
                stories = [e.prompt + (text or " ...") for e, text in zip(examples, texts)]
    print(f"{'all held out':<20}{all_asked:>8}{all_right:>8}{all_right / all_asked:>8.1%}"
          f"   ({time.time() - began:.0f} s)")
    for story in stories[:args.stories]:
        print(f"\n{story}")


if __name__ == "__main__":
    main()
