#!/usr/bin/env python3
"""Measures one machine: how speed changes with context, prompt, batch and memory, beside its bounds.

  bench/suite.py --work FOLDER [--sluice build/release/sluice] [--shape qwen3-30b-a3b] [--layers 12]
                 [--types q4_0,q4_k_m] [--only context,prompt,batch,memory,start] [--out bench/results]

Writes synthetic models and tokens to FOLDER (some 5 GB per type, kept for the next time), runs each
row with `sluice bench`, and leaves in --out, per type: NAME.json with every row as `sluice bench
--json` prints it, NAME.md with the tables, and NAME-*.svg with the pictures, after each group. Close
what else runs; the memory bandwidth before and after each row is in its JSON.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

CONTEXTS = (0, 512, 2048, 8192)
PROMPTS = (512, 2048, 8192)
BATCHES = (1, 2, 4, 8, 16, 32)
BATCH_CONTEXT = 512
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)  # of the file, as memory for the whole process
SEQUENCES = 64  # of the token file: as many as the largest batch
DOES_NOT_FIT = 3  # exit code of a budget that is too small
GROUPS = ("context", "prompt", "batch", "memory", "start")


def note(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Suite:
    def __init__(self, args, kind):
        self.args = args
        work = pathlib.Path(args.work)
        work.mkdir(parents=True, exist_ok=True)
        self.name = f"{args.shape}-{args.layers}-{kind}"
        self.model, self.tokens = work / f"{self.name}.gguf", work / f"{args.shape}-{args.layers}.tokens"
        self.rows = []
        if not (self.model.exists() and self.tokens.exists()):
            self.run("synth", "--shape", args.shape, "--layers", args.layers, "--type", kind, "-o",
                     self.model, "--tokens", self.tokens, "--sequences", SEQUENCES)
        self.longest = json.loads(self.run("inspect", self.model, "--json"))["context"]

    @staticmethod
    def profile(args):
        """Bounds need the machine's constants: measured once, where `sluice bench` looks for them."""
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        if not (cache / "sluice/profile.json").exists():
            note("measuring the machine")
            subprocess.run([args.sluice, "profile", "--json"], check=True, stdout=subprocess.DEVNULL)

    def run(self, *arguments):
        command = [self.args.sluice, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == DOES_NOT_FIT and "--ram-budget" in command:
            print(f"\r\033[Kleft out: {done.stderr.splitlines()[0]}", file=sys.stderr)
            return None
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def bench(self, group, at, *flags):
        note(f"{self.model.name}: {group} {at}")
        flags = [str(flag) for flag in flags]
        report = self.run("bench", "-m", self.model, "--json", *flags)
        if report is None:
            return
        row = json.loads(report)[-1]
        shown = " ".join(flags).replace(str(self.tokens), "tokens.txt")
        self.rows.append({**row, "group": group, "at": at, "flags": shown, "model": self.model.name})

    def with_tokens(self, *flags):
        return ("--tokens", self.tokens, *flags)

    # Contexts and prompts may be longer than the sequences of the file: they take random tokens.
    def context(self):
        for depth in (depth for depth in CONTEXTS if depth + 64 <= self.longest):
            self.bench("context", depth, "-p", 0, "-n", 32, "-d", depth, "-r", 2)

    def prompt(self):
        for count in (count for count in PROMPTS if count < self.longest):
            self.bench("prompt", count, "-p", count, "-n", 0, "-r", 2)

    def batch(self):
        for count in BATCHES:
            self.bench("batch", count, *self.with_tokens("-p", 0, "-n", 16, "-d", BATCH_CONTEXT, "-B",
                                                         count, "-r", 1))

    def memory(self):
        size = self.model.stat().st_size
        for share in SHARES:
            budget = ("--ram-budget", int(size * share))
            self.bench("memory", share, *self.with_tokens("-p", 256, "-n", 100, "-r", 2), *budget)
        half = ("--ram-budget", size // 2)
        self.bench("half: prompt of 512", 512, *self.with_tokens("-p", 512, "-n", 0, "-r", 2), *half)
        for count in (16, 64):
            self.bench(f"half: batch of {count}", count,
                       *self.with_tokens("-p", 0, "-n", 16, "-B", count, "-r", 2), *half)

    def start(self):
        """From the start of the program to the first token; the page cache empty where that is allowed."""
        stats = self.model.with_suffix(".stats")
        for share in (1.15, 0.35):
            cold = True
            os.sync()
            try:
                pathlib.Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
            except OSError:
                cold = False
            budget = int(self.model.stat().st_size * share)
            begin = time.monotonic()
            done = self.run("run", "-m", self.model, "-p", "The sea is", "-n", 1, "--ignore-eos", "--ram-budget",
                            budget, "--stats", stats)
            if done is None:
                continue
            self.rows.append({"group": "start", "at": share, "cold": cold, "seconds": time.monotonic() - begin,
                              "bytes_read": json.loads(stats.read_text())["experts"]["bytes_read"]})
        stats.unlink(missing_ok=True)


def table(rows, heading):
    lines = [f"| {heading} | tokens/s | least, most | share of the bound | hits | read per token |",
             "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        bound = row["bound"]
        share = "-"
        if bound["tokens_per_s"] > 0:
            share = f"{100 * row['tokens_per_s'] / bound['tokens_per_s']:.0f} % of {bound['limit']}"
        at = f"{100 * row['at']:.0f} %" if row["group"] == "memory" else row["at"]
        at = row["group"].removeprefix("half: ") if row["group"].startswith("half") else at
        lines.append(f"| {at} | {row['tokens_per_s']:.1f} | {row['min']:.1f}, {row['max']:.1f} | {share} "
                     f"| {100 * row['hit_rate']:.1f} % | {row['bytes_read_per_token'] / 2**20:.1f} MiB |")
    return "\n".join(lines)


TITLES = {
    "context": ("Decoding after a context", "context, tokens"),
    "prompt": ("Reading a prompt", "prompt, tokens"),
    "batch": (f"Decoding sequences together, after {BATCH_CONTEXT} tokens each", "sequences"),
    "memory": ("Decoding with less memory than the file", "memory, share of the file"),
    "half": ("With memory for half of the file", "what"),
}


def picture(rows, group, path):
    import matplotlib  # noqa: PLC0415  only where pictures are drawn
    matplotlib.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415
    title, axis = TITLES[group]
    figure, plot = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    places = range(len(rows))
    plot.plot(places, [row["bound"]["tokens_per_s"] or float("nan") for row in rows], "--", color="gray", marker=".",
              label="bound of memory, disk or arithmetic")
    plot.plot(places, [row["tokens_per_s"] for row in rows], marker="o", label="sluice")
    plot.set(title=title, xlabel=axis, ylabel="tokens/s", ylim=(0, None), xticks=list(places),
             xticklabels=[f"{100 * row['at']:.0f} %" if group == "memory" else str(row["at"]) for row in rows])
    plot.legend()
    figure.savefig(path)
    pyplot.close(figure)


def write(suite, folder, machine):
    folder.mkdir(parents=True, exist_ok=True)
    rows, name = suite.rows, suite.name
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    parts = [f"# {name}\n\n`bench/suite.py`, {datetime.date.today().isoformat()}, on {machine}. The bound of a row is the "
             "slowest of: bytes of weights and\ncache over memory's bandwidth, multiply-adds over the processor's peak, "
             "bytes read over the disk's bandwidth."]
    for group, (title, axis) in TITLES.items():
        found = [row for row in rows if row["group"].split(":")[0] == group]
        if not found:
            continue
        flags = "\n".join(f"    sluice bench -m {row['model']} {row['flags']}" for row in found)
        parts.append(f"## {title}\n\n{flags}")
        if group != "half":
            picture(found, group, folder / f"{name}-{group}.svg")
            parts.append(f"![{title}]({name}-{group}.svg)")
        parts.append(table(found, axis))
    starts = [row for row in rows if row["group"] == "start"]
    if starts:
        parts.append("## From the start of the program to the first token")
        parts.append("\n".join(["| memory, share of the file | seconds | experts read | page cache |", "| --- | --- | --- | --- |"] +
                               [f"| {100 * row['at']:.0f} % | {row['seconds']:.2f} | {row['bytes_read'] / 2**20:.0f} MiB | "
                                f"{'empty' if row['cold'] else 'as it was'} |" for row in starts]))
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True)
    parser.add_argument("--sluice", default="build/release/sluice")
    parser.add_argument("--shape", default="qwen3-30b-a3b")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--types", default="q4_0,q4_k_m")
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--out", default="bench/results")
    args = parser.parse_args()
    unknown = set(args.only.split(",")) - set(GROUPS)
    if unknown:
        parser.error(f"no group is called {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    about = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = re.findall(r"model name\s*:\s*(.+)", about) or [platform.machine()]
    cpu = f"{os.cpu_count()} cores of {names[0]}"
    Suite.profile(args)
    for kind in args.types.split(","):
        suite = Suite(args, kind)
        for group in args.only.split(","):
            getattr(suite, group)()
            write(suite, pathlib.Path(args.out), cpu)
        note("")
        print(pathlib.Path(args.out, f"{suite.name}.md"))


if __name__ == "__main__":
    main()
