"""How often rill answers exactly right after `sluice convert` to each file type, as sluice runs it.

    python tools/rill/by_type.py [--sluice build/release/sluice] [--samples 100] [--types q4_k_m q6_k]

The prompts are those of evaluate.py: held out from training, `--samples` of each kind. An answer is right if
all of its text is, and the end-of-text token follows. Prints a table in Markdown, with the size of the
files and how far their logits are from those of the F32 file on one prompt.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile

import evaluate
import numpy as np
import tasks

TYPES = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "iq4_xs",
         "iq4_nl", "q4_1", "q4_0", "mxfp4", "q3_k_l", "q3_k_m", "q3_k_s", "q2_k"]
AT_ONCE = 64
LOGITS_OF = "sort: 7 3 9 1 = 1 3 7 9"


def run(sluice, *arguments):
    done = subprocess.run([sluice, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


def answers(sluice, path, prompts, folder):
    """What follows each prompt, None where it does not end."""
    stats = os.path.join(folder, "stats.json")
    found = []
    for begin in range(0, len(prompts), AT_ONCE):
        part = prompts[begin:begin + AT_ONCE]
        flags = [flag for prompt in part for flag in ("-p", prompt)]
        said = run(sluice, "run", "-m", path, *flags, "-n", str(evaluate.ANSWER_TOKENS), "--ram-budget", "2GiB",
                   "-c", "512", "--stats", stats)
        with open(stats, encoding="utf-8") as file:
            ends = [request["finish_reason"] for request in json.load(file)["requests"]]
        blocks = ("\n" + said).split("\n--- ")[1:]
        assert len(blocks) == len(part) == len(ends)
        for prompt, block, end in zip(part, blocks, ends):
            text = block.removeprefix(prompt + "\n").rstrip("\n")
            found.append(text if end == "end_of_text" else None)
    return found


def logits(sluice, path, folder):
    file = os.path.join(folder, "logits")
    run(sluice, "run", "-m", path, "-p", LOGITS_OF, "-n", "1", "--logits", file)
    return np.fromfile(file, np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", default="build/release/sluice")
    parser.add_argument("--model", default="models/rill/rill-q8_0.gguf")
    parser.add_argument("--samples", type=int, default=100, help="prompts of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--types", nargs="+", default=TYPES)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    asked = [(kind, example) for kind in tasks.KINDS if kind not in tasks.NO_ANSWER
             for example in evaluate.distinct_examples(kind, args.samples, rng, False)]
    print("| type | MiB | right | of | share | logits: root mean square difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    exact = None
    with tempfile.TemporaryDirectory() as folder:
        for kind in ["f32"] + [t for t in args.types if t != "f32"]:
            path = os.path.join(folder, "rill.gguf")
            run(args.sluice, "convert", args.model, "-o", path, "--type", kind)
            texts = answers(args.sluice, path, [example.prompt for _, example in asked], folder)
            right = sum(evaluate.is_right(name, example, text) for (name, example), text in zip(asked, texts))
            found = logits(args.sluice, path, folder)
            exact = found if exact is None else exact
            difference = np.sqrt(np.mean((found - exact) ** 2))
            size = os.path.getsize(path) / 2**20
            print(f"| {kind} | {size:.1f} | {right} | {len(asked)} | {right / len(asked):.1%} | {difference:.3f} |",
                  flush=True)


if __name__ == "__main__":
    main()
