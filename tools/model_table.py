#!/usr/bin/env python3
"""Every model family x kind of file x format against Hugging Face Transformers, into docs/models.md.

usage: .venv/bin/python tools/model_table.py [--build build/release] [-o docs/models.md]

Runs tests/transformers_test on the checkpoints of tests/golden/manifest.json, and on packed directories (FP8, GPTQ,
AWQ, MXFP4), which it makes: packed, converted by `sluice convert`, and witnessed by what Transformers says of the
numbers that tests/golden/pack_checkpoints.py decodes. Needs tests/golden/requirements-torch.txt. Minutes.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from docs_table import replace_table

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "tests" / "golden"
sys.path.append(str(GOLDEN))
import make_checkpoints
import make_goldens
import pack_checkpoints
from family_formats import weights_of
from more_families import FAMILIES

INT4 = ("gptq", "awq")
# Directory -> packings, as models of its family are given out. The experts of DBRX lie in one matrix, and the latent
# attention of DeepSeek-V2 has to be transposed: both are refused.
PACKINGS = {
    "qwen3moe-odd-f32": ("fp8", "fp8-channel", *INT4, "gptq-act"),
    "olmoe-f32": ("fp8", *INT4),
    "mixtral-f32": ("fp8", *INT4),
    "qwen2moe-whole-f32": ("fp8", *INT4),
    "deepseek-f32": ("fp8", *INT4),
    "glm4moe-f32": ("fp8", *INT4),
    "llama-f32": ("fp8", *INT4),
    "qwen3-f32": ("fp8", *INT4),
    "gpt-oss-f32": ("mxfp4",),
}


def write_whole_qwen2moe(path):
    """A Qwen2-MoE whose widths are multiples of a group of GPTQ's, which those of the golden one are not."""
    golden = next(m for m in FAMILIES if m.name == "qwen2moe")
    model = dataclasses.replace(golden, name="qwen2moe-whole", ff=64, shared_ff=96)
    make_checkpoints.write_family_hf(path, model, weights_of(model, "f32"), "float32")


def packed_rows(sluice, checkpoints, folder):
    """Makes the packed directories, their conversions and their goldens in `folder`; -> manifest."""
    write_whole_qwen2moe(folder / "qwen2moe-whole-f32")
    rows = []
    for name, kinds in PACKINGS.items():
        source = next(path for path in (folder / name, checkpoints / name) if path.exists())
        architecture = json.loads((source / "config.json").read_text())["model_type"]
        for kind in kinds:
            stem = f"{name.removesuffix('-f32')}-{kind}"
            pack_checkpoints.pack(kind, source, folder / stem)
            pack_checkpoints.write_decoded(folder / stem, folder / f"{stem}-decoded")
            model = make_goldens.load_directory(folder / f"{stem}-decoded", architecture)
            make_goldens.make_golden(model, stem, make_goldens.ONE_PROMPT, folder / f"{stem}.safetensors")
            converted = f"{stem}.gguf"
            subprocess.run([sluice, "convert", folder / stem, "-o", folder / converted, "--type", "f32"], check=True,
                           capture_output=True)
            rows.append({"checkpoint": converted, "kind": "hf, converted", "format": f"{kind} as f32",
                         "golden": f"{stem}.safetensors"})
            print(stem, file=sys.stderr)
    return rows


def compare(build, checkpoints, manifest):
    """The rows of the table."""
    environment = {**os.environ, "SLUICE_CHECKPOINTS": str(checkpoints), "SLUICE_MANIFEST": str(manifest)}
    done = subprocess.run([build / "tests" / "transformers_test"], env=environment, capture_output=True, text=True,
                          check=False)
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    if done.returncode != 0 or not table:
        sys.exit(done.stdout[-2000:] + done.stderr)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default="build/release")
    parser.add_argument("-o", "--output", type=pathlib.Path, default="docs/models.md")
    options = parser.parse_args()
    checkpoints = options.build / "checkpoints"
    subprocess.run([sys.executable, GOLDEN / "make_checkpoints.py", checkpoints], check=True)
    table = compare(options.build, checkpoints, GOLDEN / "manifest.json")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        manifest = folder / "manifest.json"
        manifest.write_text(json.dumps(packed_rows(options.build / "sluice", checkpoints, folder)))
        table += compare(options.build, folder, manifest)[2:]
    replace_table(options.output, "models", table)


if __name__ == "__main__":
    make_goldens.torch.set_num_threads(1)  # one order of summation
    make_goldens.transformers.utils.logging.disable_progress_bar()
    main()
