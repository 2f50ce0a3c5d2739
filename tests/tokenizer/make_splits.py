#!/usr/bin/env python3
"""Makes splits.json beside this file: how the package `tokenizers` (made with 0.23) cuts difficult texts into words under the
pre-tokenizers of the known families, spelt as in their tokenizer.json, and which characters it takes for letters, marks and so on.

  pip install tokenizers && python3 tests/tokenizer/make_splits.py [--check]

  texts     [text]
  words     {name of GGUF: [[bytes of each word] of each text]}
  classes   {regular expression: [gap, length, gap, length, ...] over all code points but surrogates}
"""
import json
import pathlib
import random
import sys

from tokenizers import Regex, pre_tokenizers

from make_fixtures import GPT4O, LLAMA3, LOWER, QWEN2, UPPER, texts

FILE = pathlib.Path(__file__).resolve().parent / "splits.json"

TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_V3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
               "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
               " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
DEEPSEEK_CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+"]
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
BAILING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
SEED = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+")

CLASSES = [r"[\p{Lu}\p{Lt}]", r"\p{Ll}", r"[\p{Lm}\p{Lo}]", r"\p{M}", r"\p{N}", r"\s", r"\p{P}", r"\p{S}"]


def split(*patterns):
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


def gpt2():
    return [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]


def digits():
    return [pre_tokenizers.Digits(individual_digits=True)]


PRE_TOKENIZERS = {
    "gpt-2": gpt2(),
    "qwen2": split(QWEN2),
    "qwen35": split(QWEN35),
    "llama-bpe": split(LLAMA3),
    "gpt-4o": split(GPT4O),
    "tekken": split(TEKKEN),
    "starcoder": digits() + gpt2(),
    "deepseek-coder": split(*DEEPSEEK_CODER) + digits(),
    "deepseek-v3": split(*DEEPSEEK_V3),
    "bloom": split(BLOOM),
    "viking": split(BLOOM) + digits(),
    "bailingmoe": split(BAILING),
    "seed-coder": split(SEED),
}


def all_planes(seed: int, rows: int) -> list[str]:
    """Characters from everywhere, in short runs between common ones."""
    rng = random.Random(seed)
    planes = [(0x80, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000)] + [(p << 16, (p + 1) << 16) for p in (1, 2, 3, 14, 15, 16)]
    common = ["a", "B", " ", "  ", "\n", "1", "'s", ".", "/", "\u0301", "\u200d", "ǅ"]
    out = []
    for _ in range(rows):
        row = ""
        for _ in range(rng.randint(4, 14)):
            low, high = rng.choice(planes)
            start = rng.randrange(low, high)
            row += "".join(chr(c) for c in range(start, min(high, start + rng.randint(1, 3)))) + rng.choice(common)
        out.append(row)
    return out


def word_bytes(steps, text: str) -> list[int]:
    """The words' lengths in bytes; ByteLevel spells bytes as characters, so they are cut by offsets."""
    pieces = pre_tokenizers.Sequence(steps).pre_tokenize_str(text)
    return [len(text[begin:end].encode()) for _, (begin, end) in pieces]


def class_runs(pattern: str) -> list[int]:
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    text = "".join(map(chr, codes))
    others = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(text)
    runs, done = [], 0  # the end of the last run
    for begin, end in zip([0] + [span[1] for _, span in others], [span[0] for _, span in others] + [len(text)]):
        if end > begin:
            runs += [begin - done, end - begin]
            done = end
    return runs


def make() -> dict:
    rows = texts(300, 60) + all_planes(301, 100)
    return {"texts": rows, "words": {name: [word_bytes(steps, row) for row in rows] for name, steps in PRE_TOKENIZERS.items()},
            "classes": {pattern: class_runs(pattern) for pattern in CLASSES}}


def main() -> None:
    made = json.dumps(make(), ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n"
    if sys.argv[1:] != ["--check"]:
        FILE.write_text(made)
    elif FILE.read_text() != made:
        sys.exit(f"{FILE.name} is not what the package tokenizers says now")
    else:
        print(f"{FILE.name}: {len(PRE_TOKENIZERS)} pre-tokenizers, as the package tokenizers says")


if __name__ == "__main__":
    main()
