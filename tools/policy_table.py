#!/usr/bin/env python3
"""Every shipped policy x every trace x three capacities, as docs/policy-results.md.

Before it, what the policy `default` is worth: on the tokens that its two settings, threshold and budget,
were chosen on, and on the rest. After it, how many lines the policies of known systems take.

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


CHOSEN_ON = 2000  # tokens of each trace
MOST_OTHERS = 20000  # gpt-oss has 60,000


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


def default_rows(sluice, path, size, title, folder):
    """lru, the eviction of `default` alone, and `default`, side by side."""
    alone = folder / "alone.moe"
    alone.write_text("policy alone { cache { capacity = auto eviction = learned } }")
    lines = []
    for part, first, steps in [(f"first {CHOSEN_ON}", 0, CHOSEN_ON),
                               ("others", CHOSEN_ON, MOST_OTHERS)]:
        print(f"{path.name}: default, {part}", file=sys.stderr)
        rows = json.loads(call(sluice, "replay", path, "--policy", alone, "--policy", "default",
                               "--expert-bytes", size, "--first-step", first, "--steps", steps,
                               "--json"))
        of = {(row["policy"], row["capacity"]): row for row in rows}
        names = [row["policy"] for row in rows if "alone" in row["policy"]]
        for capacity in sorted({row["capacity"] for row in rows}):
            three = [of[name, capacity] for name in ["lru", names[0], "default"]]
            misses = [f"{row['demand_misses'] / row['tokens']:.2f}" for row in three]
            gaps = ["-" if row["gap_closed"] is None else f"{100 * row['gap_closed']:.0f} %"
                    for row in three[1:]]
            stalls = [f"{1e3 * row['stall_s'] / row['tokens']:.1f}" for row in three]
            lines.append("| " + " | ".join([title, f"{part}: {rows[0]['tokens']}", str(capacity),
                                            *misses, *gaps, *stalls]) + " |")
    return lines


def default_section(sluice, traces, folder):
    heads = ["trace", "tokens", "C", "misses per token: lru", "eviction alone", "default",
             "gap: eviction alone", "default", "stall, ms: lru", "eviction alone", "default"]
    lines = ["## default", "",
             "`default` is `eviction = learned` and one guess ahead with p >= 0.8. Threshold and budget "
             "were",
             f"chosen on the first {CHOSEN_ON} tokens of each trace; *others* are tokens after them. "
             "*eviction alone* is", "the same without guesses.", "",
             "| " + " | ".join(heads) + " |", "| --- |" + " --- |" * (len(heads) - 1)]
    for name, size, title in TRACES:
        if (traces / name).exists():
            lines += default_rows(sluice, traces / name, size, title, folder)
    return "\n".join(lines) + "\n"


# Lines of the module that decides about experts in each system, and of MoE-PolicyLang v0.7's
# equivalent: both as MoE-PolicyLang's README has them (~: estimated there from the paper).
SYSTEMS = [("Fiddler", "fiddler", "280", "7"), ("HybriMoE", "hybrimoe", "~500", "14"),
           ("MoE-Infinity", "moe_infinity", "520", "16"), ("vLLM", "vllm_resident", "300", "12"),
           ("ExpertFlow", "expertflow_2410", "~400", "16"), ("FineMoE", "finemoe", "~350", "25")]


def systems_section(policies):
    """Lines that a person writes to have a system's policy."""
    lines = ["## What a policy takes to write", "",
             "Lines that are neither blank nor a comment. The files here say more than "
             "MoE-PolicyLang's: every number", "that the system's code or paper fixes stands in them.",
             "",
             "| system | its module | MoE-PolicyLang v0.7 | here | module / here |",
             "| --- | --- | --- | --- | --- |"]
    for system, name, module, theirs in SYSTEMS:
        text = (policies / f"{name}.moe").read_text().splitlines()
        ours = sum(1 for line in text if line.strip() and not line.strip().startswith("#"))
        ratio = int(module.strip("~")) / ours
        lines.append(f"| {system} | {module} | {theirs} | {ours} (`policies/{name}.moe`) | {ratio:.0f} |")
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
        parts.append(default_section(options.sluice, options.traces, pathlib.Path(folder)))
        for name, size, title in TRACES:
            path = options.traces / name
            if not path.exists():
                print(f"{path} is not here", file=sys.stderr)
                continue
            policies, rows = rows_of(options.sluice, path, size, options.steps,
                                     pathlib.Path(folder))
            parts.append(table(title, policies, rows))
    parts.append(systems_section(pathlib.Path(__file__).parents[1] / "policies"))
    options.output.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
