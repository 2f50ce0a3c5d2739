#!/usr/bin/env python3
"""Loads and runs a model of each family's real shape, and writes what it took into docs/models.md.

usage: tools/shape_table.py [--sluice build/release/sluice] [--folder DIRECTORY] [--only SHAPE] [-o docs/models.md]

`sluice synth` writes each with random weights, cut in layers, one at a time (up to 5 GB in DIRECTORY, removed
afterwards). It runs twice, under the least RAM budget that `sluice inspect` names and with room for about a quarter of
the experts. Fails if a run takes more memory than its budget, or if the logits of the two differ or are not finite.
"""
import argparse
import array
import json
import math
import pathlib
import subprocess
import sys
import tempfile

from docs_table import replace_table

# Shape -> (layers, type that the model is given out in).
CUTS = {
    "qwen3-30b-a3b": (8, "q4_k_m"),
    "olmoe-1b-7b": (16, "q4_k_m"),
    "mixtral-8x7b": (3, "q4_k_m"),
    "qwen1.5-moe-a2.7b": (8, "q4_k_m"),
    "deepseek-v2-lite": (6, "q4_k_m"),
    "deepseek-moe-16b": (6, "q4_k_m"),
    "dbrx": (2, "q4_k_m"),
    "gpt-oss-20b": (6, "mxfp4"),
    "glm-4.5-air": (3, "q4_k_m"),
    "llama-3.1-8b": (8, "q4_k_m"),
    "qwen3-8b": (8, "q4_k_m"),
}
CONTEXT = "1024"
PROMPT = "the ship and the tin horn on the lone land that the old hind had"
MIB = 1 << 20
COLUMNS = ("shape of", "family", "layers", "hidden, heads", "experts", "vocabulary", "file", "budget", "peak RSS",
           "experts in RAM", "hits", "tokens/s")
HEAD = ["| " + " | ".join(COLUMNS) + " |", "| --- " * 6 + "| ---: " * 6 + "|"]


def sluice(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"sluice {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def run(program, model, budget, folder):
    """-> (statistics, bytes of the logits)."""
    stats, logits = folder / "stats.json", folder / "logits"
    sluice(program, "run", "-m", model, "-p", PROMPT, "-n", 16, "-c", CONTEXT, "--ignore-eos", "--ram-budget", budget,
           "--stats", stats, "--logits", logits)
    found = json.loads(stats.read_text())
    if found["memory"]["peak_rss"] > budget:
        sys.exit(f"{model}: {found['memory']['peak_rss']} bytes under a budget of {budget}")
    return found, logits.read_bytes()


def rows_of(program, shape, folder):
    layers, kind = CUTS[shape]
    model = folder / f"{shape}.gguf"
    sluice(program, "synth", "--shape", shape, "--layers", layers, "--type", kind, "-o", model)
    told = json.loads(sluice(program, "inspect", "-m", model, "--json", "-c", CONTEXT))
    least, everything = (told["memory"][which]["total"] for which in ("minimum", "everything"))
    budgets = [math.ceil(budget / MIB) * MIB for budget in (least, least + (everything - least) // 4)]
    runs = [run(program, model, budget, folder) for budget in dict.fromkeys(budgets)]
    logits = {bytes_of for _, bytes_of in runs}
    if len(logits) != 1:
        sys.exit(f"{shape}: the logits depend on the budget")
    if not all(map(math.isfinite, array.array("f", runs[0][1]))):
        sys.exit(f"{shape}: logits that are not finite")
    for budget, (found, _) in zip(budgets, runs):
        yield row(shape, kind, told, model.stat().st_size, budget, found)
    model.unlink()


def row(shape, kind, told, file_bytes, budget, found):
    memory, experts = found["memory"], found["experts"]
    sizes, slots, hits = "none", "", ""
    if told["experts"]:
        sizes = f"{told['experts']} x {told['expert_ff']}, top {told['top_k']}"
        slots = f"{memory['slots']} of {memory['all_slots']}"
        hits = f"{100 * experts['hit_rate']:.0f} %"
    heads = f"{told['hidden']}, {told['heads']} x {told['head_dim']}"
    return (f"| {shape} {kind} | {told['architecture']} | {told['layers']} | {heads} |"
            f" {sizes} | {told['vocabulary']} | {file_bytes / 2**30:.1f} GiB | {budget // MIB} MiB |"
            f" {memory['peak_rss'] / MIB:.0f} MiB | {slots} | {hits} | {found['decode_tokens_per_s']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", default="build/release/sluice")
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--only", choices=CUTS)
    parser.add_argument("-o", "--output", type=pathlib.Path, default="docs/models.md")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for shape in [options.only] if options.only else CUTS:
            rows += rows_of(options.sluice, shape, pathlib.Path(folder))
            print(*rows[-2:], sep="\n", file=sys.stderr)
    if not options.only:
        replace_table(options.output, "shapes", HEAD + rows)


if __name__ == "__main__":
    main()
