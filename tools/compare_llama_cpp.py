#!/usr/bin/env python3
"""Do llama.cpp and sluice continue prompts alike?

usage: tools/compare_llama_cpp.py [--model FILE] [--prompts FILE] [--sluice PROGRAM] [--tokens N]

Greedy continuations, token by token; default: rill and its prompts. Needs llama.cpp as the package
xllamacpp (pip install xllamacpp==2026.10.11549). Both round activations to 8 bits, each its own way, so
tokens may part where two were nearly as likely. The exit status is 0 if no prompt's do.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import xllamacpp

ROOT = pathlib.Path(__file__).parents[1]


def of_llama_cpp(server, prompt, tokens):
    answer = server.handle_completions({"prompt": prompt, "n_predict": tokens, "temperature": 0, "top_k": 1,
                                        "logprobs": 1, "cache_prompt": False})
    if "choices" not in answer:
        sys.exit(f"llama.cpp: {answer}")
    return [token["id"] for token in answer["choices"][0]["logprobs"]["content"]]


def of_sluice(options, prompt, stats):
    subprocess.run([options.sluice, "run", "-m", options.model, "-p", prompt, "-n", str(options.tokens),
                    "--stats", stats], stdout=subprocess.DEVNULL, check=True)
    return json.loads(pathlib.Path(stats).read_text())["generated_ids"]


def agreeing(ours, theirs):
    """How many tokens agree from the first on; the end of the text, which only one reports, is none."""
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a != b:
            return i
    return min(len(ours), len(theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=ROOT / "models" / "rill" / "rill-q8_0.gguf")
    parser.add_argument("--prompts", type=pathlib.Path, default=ROOT / "tools" / "rill" / "prompts.txt")
    parser.add_argument("--sluice", default=ROOT / "build" / "release" / "sluice")
    parser.add_argument("--tokens", type=int, default=24)
    options = parser.parse_args()
    settings = xllamacpp.CommonParams()
    settings.model.path = str(options.model)
    settings.n_ctx = 1024
    settings.n_parallel = 1
    settings.warmup = False
    server = xllamacpp.Server(settings)
    prompts = [line for line in options.prompts.read_text().splitlines() if line.strip()]
    alike = 0
    with tempfile.TemporaryDirectory() as folder:
        for prompt in prompts:
            theirs = of_llama_cpp(server, prompt, options.tokens)
            ours = of_sluice(options, prompt, str(pathlib.Path(folder) / "stats.json"))
            agree = agreeing(ours, theirs)
            same = agree == min(len(ours), len(theirs)) and abs(len(ours) - len(theirs)) <= 1
            alike += same
            if not same:
                print(f"{prompt!r}: alike for {agree} of {len(theirs)} tokens")
    print(f"{alike} of {len(prompts)} continuations alike")
    return 0 if alike == len(prompts) else 1


if __name__ == "__main__":
    sys.exit(main())
