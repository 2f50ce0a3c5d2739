#!/usr/bin/env python3
"""Every model family x kind of file x format against Hugging Face Transformers, as docs/models.md.

usage: tools/model_table.py [--build build/release] [-o docs/models.md]

Runs tests/transformers_test on the checkpoints that `ctest -R checkpoints` made.
"""
import argparse
import os
import pathlib
import subprocess
import sys

TEXT = """# Models, against Transformers

Made by `tools/model_table.py`, which runs `tests/transformers_test`: small random checkpoints of every family, as
Hugging Face directory (`hf`) and as GGUF, against the float32 logits of Hugging Face Transformers
(`tests/golden`). *difference* is the largest of any logit, over several prompts and the tokens after them; *greedy*
counts the generated tokens that agree.

The device `exact` multiplies with the numbers that the file holds, and is held to 1e-4 everywhere. The fastest
device of the machine is held to it with F32, F16 and BF16; with quantized weights it rounds activations to 8 bits
([weight-layout.md](weight-layout.md)), which on random weights moves tokens that a trained model is sure of.

Another witness: llama.cpp (the package xllamacpp 2026.10.11549) loads cuts of the five shapes of `sluice synth`, Q8_0,
and continues prompts greedily as sluice does, `tools/compare_llama_cpp.py`, 16 tokens each: Qwen3-30B-A3B 6 of 6
prompts, Qwen1.5-MoE and OLMoE 5 of 6, Mixtral 3 of 6; DeepSeek-V2-Lite with all its 27 layers parts after 5 and 7
tokens on the two prompts tried. Random weights leave many ties that the two ways of rounding activations decide:
in F16, 12 tokens each, DeepSeek-V2-Lite agrees on 3 of 3 prompts and Mixtral on 2 of 3.

`-sharded`: several safetensors files. `-2d`: one tensor per expert, as old Mixtral files. `-mla`: the newer
encoding of DeepSeek's attention in GGUF. `-odd`: widths that no block of 256 divides. `mixed`: a format per tensor.

"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default="build/release")
    parser.add_argument("-o", "--output", type=pathlib.Path, default="docs/models.md")
    options = parser.parse_args()
    environment = {**os.environ, "SLUICE_CHECKPOINTS": str(options.build / "checkpoints")}
    done = subprocess.run([options.build / "tests" / "transformers_test"], env=environment,
                          capture_output=True, text=True, check=False)
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    if done.returncode != 0 or not table:
        sys.exit(done.stdout[-2000:] + done.stderr)
    options.output.write_text(TEXT + "\n".join(table) + "\n")


if __name__ == "__main__":
    main()
