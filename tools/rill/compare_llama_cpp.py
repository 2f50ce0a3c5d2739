#!/usr/bin/env python3
"""Do llama.cpp and sluice continue rill's prompts alike?

usage: tools/rill/compare_llama_cpp.py [--model FILE] [--sluice PROGRAM] [--tokens N]

Greedy continuations of the prompts in tools/rill/prompts.txt. Needs llama.cpp as the package xllamacpp
(pip install xllamacpp==2026.10.11549). Both round activations to 8 bits, each its own way, so a token
may differ where two were nearly as likely; the exit status is 0 if none does.
"""
import argparse
import pathlib
import subprocess
import sys

import xllamacpp

HERE = pathlib.Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=HERE.parents[1] / "models" / "rill" / "rill-q8_0.gguf")
    parser.add_argument("--sluice", default=HERE.parents[1] / "build" / "release" / "sluice")
    parser.add_argument("--tokens", type=int, default=24)
    options = parser.parse_args()
    settings = xllamacpp.CommonParams()
    settings.model.path = str(options.model)
    settings.n_ctx = 1024
    settings.n_parallel = 1
    settings.warmup = False
    server = xllamacpp.Server(settings)
    prompts = [line for line in (HERE / "prompts.txt").read_text().splitlines() if line.strip()]
    alike = 0
    for prompt in prompts:
        answer = server.handle_completions({"prompt": prompt, "n_predict": options.tokens,
                                            "temperature": 0, "top_k": 1, "cache_prompt": False})
        theirs = (answer.get("content") or answer["choices"][0]["text"]).rstrip("\n")
        ours = subprocess.run([options.sluice, "run", "-m", options.model, "-p", prompt, "-n",
                               str(options.tokens)], capture_output=True, text=True, check=True)
        same = theirs == ours.stdout.rstrip("\n")
        alike += same
        if not same:
            print(f"{prompt!r}: llama.cpp {theirs!r}, sluice {ours.stdout!r}")
    print(f"{alike} of {len(prompts)} continuations alike")
    return 0 if alike == len(prompts) else 1


if __name__ == "__main__":
    sys.exit(main())
