"""A live run and the replay of its own trace agree, for every policy that ships.

Runs the embedded model under each policy with little and with much memory, writes the trace, replays
it, and compares every count that does not depend on the disk's speed. The answers are the same under
all of them.
"""
import json
import pathlib
import tempfile
import unittest

from sluice_process import sluice

PROMPTS = ["-p", "sort: 7 3 9 1 =", "-p", "list the days of the week and sort: 4 2 ="]
COUNTS = ["accesses", "hits", "misses", "demand_misses", "insertions", "evictions", "in_place",
          "prefetches", "prefetches_used", "prefetches_wasted", "adapt_firings"]
# Exit code of a policy whose slots do not fit: a capacity of its own, larger than the budget.
DOES_NOT_FIT = 3
BUDGETS = ["23MiB", "26MiB", "64MiB"]


class ReplayTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.trace = self.folder / "t.jsonl"
        # What policies that start from knowledge of the model are given.
        done = sluice("run", *PROMPTS, "-n", "32", "--trace", self.trace)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.knowledge = []
        for kind in ["profile", "table"]:
            path = self.folder / kind
            done = sluice("trace", kind, self.trace, "-o", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.knowledge += [f"--{kind}", path]

    def live(self, policy, budget):
        """The counts of a run and its answer, or None where the policy does not fit."""
        stats = self.folder / "stats.json"
        done = sluice("run", *PROMPTS, "-n", "48", "--ignore-eos", "-b", "64", "--policy", policy,
                      "--ram-budget", budget, *self.knowledge, "--trace", self.trace,
                      "--stats", stats)
        if done.returncode == DOES_NOT_FIT:
            return None
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(stats.read_text())["experts"], done.stdout

    def replay(self):
        done = sluice("replay", self.trace, *self.knowledge, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        row, = json.loads(done.stdout)
        return row

    def test_every_shipped_policy(self):
        names = [policy["name"] for policy in json.loads(sluice("policy", "list", "--json").stdout)]
        self.assertGreaterEqual(len(names), 20)
        answers = set()
        for name in names:
            fitting = 0
            for budget in BUDGETS:
                with self.subTest(policy=name, budget=budget):
                    run = self.live(name, budget)
                    if run is None:
                        continue
                    fitting += 1
                    counts, answer = run
                    answers.add(answer)
                    row = self.replay()
                    self.assertEqual({key: counts[key] for key in COUNTS},
                                     {key: row[key] for key in COUNTS})
            self.assertGreater(fitting, 0, f"{name} fits in none of {BUDGETS}")
        self.assertEqual(len(answers), 1, "a policy changed the answer")


if __name__ == "__main__":
    unittest.main()
