#!/usr/bin/env python3
"""Every shipped policy x every trace x three capacities, as docs/policy-results.md.

usage: tools/policy_table.py [--sluice build/release/sluice] [--traces ../shared/data/traces]
                             [--steps N] [-o docs/policy-results.md]

Needs nothing but Python and a built sluice. Traces that are not there are left out, with a word.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

# File, bytes of an expert, name. Sizes: Q4_K_M of Qwen3-30B-A3B, MXFP4 of gpt-oss-20b.
TRACES = [("qwen3-30b-a3b-code.npz", "2.65MB", "qwen3 code"),
          ("qwen3-30b-a3b-general.npz", "2.65MB", "qwen3 general"),
          ("gpt-oss-20b-decode.npz", "13.2MB", "gpt-oss")]


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)


def call(*arguments):
    done = run(*arguments)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def rows_of(sluice, trace, expert_bytes, steps, folder):
    policies = [p["name"] for p in json.loads(call(sluice, "policy", "list", "--json"))]
    # Policies that start from knowledge of the model get it from a recording of the same model.
    known = []
    for kind in ["profile", "table"]:
        call(sluice, "trace", kind, trace, "-o", folder / kind)
        known += [f"--{kind}", folder / kind]
    rows = []
    for name in policies:
        print(f"{trace.name}: {name}", file=sys.stderr)
        done = run(sluice, "replay", trace, "--policy", name, "--expert-bytes", expert_bytes,
                   "--steps", steps, *known, "--json")
        if done.returncode == 0:
            rows += json.loads(done.stdout)
        else:  # pins more than the slots there are
            print(done.stderr, file=sys.stderr)
    return policies, rows


def table(title, policies, rows):
    """Policies down, capacities across: hit rate, gap, stall."""
    capacities = sorted({row["capacity"] for row in rows})
    of = {(row["policy"], row["capacity"]): row for row in rows}
    tokens = rows[0]["tokens"]
    lines = [f"## {title}", "", f"{tokens} tokens; slots per layer across.", "",
             "| policy | " + " | ".join(f"hits, C={c} | gap | stall, ms" for c in capacities) + " |",
             "| --- |" + " --- |" * (3 * len(capacities))]
    for name in [*policies, "belady"]:
        cells = []
        for capacity in capacities:
            row = of.get((name, capacity))
            if row is None:
                cells.append("- | - | -")
                continue
            gap = "-" if row["gap_closed"] is None else f"{100 * row['gap_closed']:.0f} %"
            cells.append(f"{100 * row['hit_rate']:.2f} | {gap} | "
                         f"{1e3 * row['stall_s'] / row['tokens']:.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", type=pathlib.Path, default="build/release/sluice")
    parser.add_argument("--traces", type=pathlib.Path, default="../shared/data/traces")
    parser.add_argument("--steps", type=int, default=2000, help="tokens of each trace")
    parser.add_argument("-o", "--output", type=pathlib.Path, default="docs/policy-results.md")
    options = parser.parse_args()
    parts = [f"""# Shipped policies on recorded routing

Made by `tools/policy_table.py --steps {options.steps}`: every policy that ships, on the first tokens
of every trace, with an eighth, a quarter and half of the experts in memory. All get the same slots,
staging included, whatever capacity they ask for themselves; each starts with an empty cache, and
policies that start from a profile or a table get those of the whole trace, which flatters them.

*hits*: percent of accesses. *gap*: share of the demand misses between LRU and Belady's bound that
the policy avoids; prefetching policies can pass 100 %, since Belady only evicts. *stall*: modelled
time per token in which computing waits, on a link of 1.2 GB/s with 1 ms of computing per layer;
2.65 MB per expert for Qwen3-30B-A3B, 13.2 MB for gpt-oss-20b. Policies that compute misses in place
are charged for reading them all the same: slow memory is a disk here.
A dash: the policy pins more experts than there are slots.
"""]
    with tempfile.TemporaryDirectory() as folder:
        for name, size, title in TRACES:
            path = options.traces / name
            if not path.exists():
                print(f"{path} is not here", file=sys.stderr)
                continue
            policies, rows = rows_of(options.sluice, path, size, options.steps,
                                     pathlib.Path(folder))
            parts.append(table(title, policies, rows))
    options.output.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
