#!/usr/bin/env python3
"""Times sluice and ik_llama.cpp (or llama.cpp) on the same file, in turn.

  bench/peer.py -m model.gguf --peer path/to/llama-bench [--tests pp512,tg64] [--rounds 3]
                [--limit 2GiB] [--peer-flags '-rtr 1'] [--batch-flags=-rtr] [--tokens ids.txt]

Tests: ppN is a prompt of N tokens, tgN are N decoded tokens; tgN@D has a context of D before, and
tgN@DxB B sequences of that kind together, whose tokens count together (llama-batched-bench, which
lies beside the peer's llama-bench; it runs once per round).
With --limit both run in a memory cgroup (v1 or v2; needs root) and sluice gets the limit, less
64 MiB for the system's share, as --ram-budget; the page cache is dropped before each run.
Prints a Markdown table: the median of the rounds, the least and the most.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys

MIB = 1 << 20
UNITS = {"KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}


def size(text):
    match = re.fullmatch(r"([0-9.]+)(KiB|MiB|GiB)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text}: write 512MiB or 2GiB")
    return int(float(match[1]) * UNITS[match[2]])


class Limit:
    """A memory cgroup for one child at a time."""

    def __init__(self, size_bytes):
        version_1 = pathlib.Path("/sys/fs/cgroup/memory")
        root = version_1 if version_1.is_dir() else pathlib.Path("/sys/fs/cgroup")
        self.group = root / "sluice-bench"
        self.group.mkdir(exist_ok=True)
        name = "memory.limit_in_bytes" if root == version_1 else "memory.max"
        (self.group / name).write_text(str(size_bytes))

    def enter(self):
        (self.group / "cgroup.procs").write_text(str(os.getpid()))


def run(command, limit, talk=False):
    if limit:
        subprocess.run(["sync"], check=True)
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    result = subprocess.run(command, capture_output=True, text=True, cwd="/tmp",  # peers leave logs
                            preexec_fn=limit.enter if limit else None)
    if result.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))}: exit {result.returncode}\n{result.stderr}")
    return result.stdout + (result.stderr if talk else "")


def parse(test):
    match = re.fullmatch(r"(pp|tg)(\d+)(?:@(\d+)(?:x(\d+))?)?", test)
    if not match:
        sys.exit(f"{test}: a test is ppN, tgN, tgN@D or tgN@DxB")
    return match[1], int(match[2]), int(match[3] or 0), int(match[4] or 1)


def ours(args, test, limit):
    kind, count, depth, batch = parse(test)
    # llama-bench warms up: so a prompt goes before decoding, whose row is not counted.
    command = [args.sluice, "bench", "-m", args.model, "--json", "-r", "3" if batch == 1 else "1",
               "-p", count if kind == "pp" else 256 if batch == 1 else 0,
               "-n", count if kind == "tg" else 0, "-d", depth, "-B", batch]
    if args.tokens:
        command += ["--tokens", args.tokens]
    if limit:
        command += ["--ram-budget", args.limit - 64 * MIB]
    report = json.loads(run([str(part) for part in command], limit))
    return report[-1]["tokens_per_s"], report[-1]


def theirs(args, test, limit):
    kind, count, depth, batch = parse(test)
    if batch > 1:
        return their_batch(args, count, depth, batch, limit)
    command = [args.peer, "-m", args.model, "-o", "json", "-t", os.cpu_count(), "-r", "3"]
    if depth:
        command += ["-p", 0, "-n", 0, "-gp", f"{depth},{count}"]
    else:
        command += ["-p", count if kind == "pp" else 0, "-n", count if kind == "tg" else 0]
    command += ["-w", 0] if limit else []
    report = json.loads(run([str(part) for part in command] + shlex.split(args.peer_flags), limit))
    return statistics.median(report[-1]["samples_ts"])


def their_batch(args, count, depth, batch, limit):
    command = [pathlib.Path(args.peer).with_name("llama-batched-bench"), "-m", args.model,
               "-t", os.cpu_count(), "-c", batch * (depth + count + 64), "-npp", depth, "-ntg", count,
               "-npl", batch]
    said = run([str(part) for part in command] + shlex.split(args.batch_flags), limit, talk=True)
    rows = [line.split("|") for line in said.splitlines() if line.startswith("|")]
    return float(rows[-1][[cell.strip() for cell in rows[0]].index("S_TG t/s")])


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--peer", required=True, help="its llama-bench")
    parser.add_argument("--peer-flags", default="-rtr 1")
    parser.add_argument("--batch-flags", default="-rtr", help="of llama-batched-bench")
    parser.add_argument("--sluice", default="build/release/sluice")
    parser.add_argument("--tests", default="pp512,tg64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=size)
    parser.add_argument("--tokens")
    args = parser.parse_args()
    for name in ("model", "peer", "sluice", "tokens"):
        if getattr(args, name):
            setattr(args, name, pathlib.Path(getattr(args, name)).resolve())
    limit = Limit(args.limit) if args.limit else None
    print("| test | sluice | of its bound | bound by | peer | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for test in args.tests.split(","):
        mine, peers, row = [], [], {}
        for done in range(args.rounds):
            if sys.stderr.isatty():
                print(f"\r{test}: round {done + 1} of {args.rounds} ", end="", file=sys.stderr)
            value, row = ours(args, test, limit)
            mine.append(value)
            peers.append(theirs(args, test, limit))
        ratio = statistics.median(a / b for a, b in zip(mine, peers))
        bound = row.get("bound")
        share = f"{100 * row['tokens_per_s'] / bound['tokens_per_s']:.0f} %" if bound and bound["tokens_per_s"] > 0 else "-"
        print(f"| {test} | {spread(mine)} | {share} | {bound['limit'] if bound else '-'} "
              f"| {spread(peers)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
