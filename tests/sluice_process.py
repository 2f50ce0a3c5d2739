"""Runs the sluice program for the tests of the command line."""
import json
import os
import pathlib
import subprocess
import tempfile

PROGRAM = os.environ.get("SLUICE", "build/release/sluice")
CHECKPOINTS = os.environ.get("SLUICE_CHECKPOINTS")


def sluice(*arguments, stdin=b"", timeout=300):
    """The finished process, with bytes in stdout and text in stderr."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True,
                          timeout=timeout, check=False)
    done.stderr = done.stderr.decode("utf-8", "replace")
    return done


def run_with_stats(*arguments):
    """`sluice run` with --stats and --logits: (stdout, statistics, bytes of all logits)."""
    with tempfile.TemporaryDirectory() as folder:
        stats = pathlib.Path(folder, "stats.json")
        logits = pathlib.Path(folder, "logits.f32")
        done = sluice("run", "--stats", stats, "--logits", logits, *arguments)
        if done.returncode != 0:
            raise AssertionError(f"sluice run failed: {done.stderr}")
        return done.stdout, json.loads(stats.read_text()), logits.read_bytes()
