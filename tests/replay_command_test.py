"""`sluice replay`, `policy tune`, `policy auto`, `trace profile` and `trace table` as people use them."""
import csv
import io
import json
import pathlib
import tempfile
import unittest

from sluice_process import sluice

TRACE = "models/rill/trace.jsonl"
ROW = ["trace", "policy", "capacity", "accesses", "hits", "hit_rate", "demand_misses", "bytes_read",
       "stall_s", "decision_ns"]


class ReplayCommandTest(unittest.TestCase):
    def rows(self, *arguments):
        done = sluice("replay", TRACE, "--json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_rows_and_the_bound(self):
        rows = self.rows("--policy", "lru", "--policy", "lfu", "--capacity", "8,16")
        self.assertEqual([(r["policy"], r["capacity"]) for r in rows],
                         [(p, c) for c in (8, 16) for p in ("lru", "lfu", "belady")])
        for row in rows:
            for key in ROW:
                self.assertIn(key, row)
            self.assertEqual(row["slots"], 6 * row["capacity"])
            self.assertAlmostEqual(row["hit_rate"], row["hits"] / row["accesses"])
        for capacity in (8, 16):
            hits = {r["policy"]: r["hits"] for r in rows if r["capacity"] == capacity}
            self.assertGreaterEqual(hits["belady"], max(hits.values()))

    def test_hits_are_those_of_a_list_per_layer(self):
        """The witness is the definition of LRU, on a trace of one-token steps."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "t.jsonl")
            lines = [json.dumps({"model_name": "m", "num_layers": 2, "num_experts": 8, "top_k": 2})]
            calls = []
            for token in range(200):
                for layer in range(2):
                    first = (token * token + 3 * layer) % 8
                    experts = [first, (first + 1 + token % 5) % 8]
                    calls.append((layer, experts))
                    lines.append(json.dumps({"t": token, "l": layer, "e": experts, "s": [0.6, 0.4]}))
            path.write_text("\n".join(lines) + "\n")
            for capacity in (2, 3, 5):
                caches, hits = [[], []], 0
                for layer, experts in calls:
                    cache = caches[layer]
                    hits += sum(e in cache for e in experts)
                    for expert in experts:
                        if expert in cache:
                            cache.remove(expert)
                        cache.append(expert)
                    del cache[:max(0, len(cache) - capacity)]
                done = sluice("replay", path, "--policy", "lru", "--capacity", capacity, "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                row = json.loads(done.stdout)[0]
                self.assertEqual(row["hits"], hits)

    def test_layers_sum_up_in_csv(self):
        done = sluice("replay", TRACE, "--policy", "lru", "--capacity", 8, "--csv", "--per-layer",
                      "--no-bounds")
        self.assertEqual(done.returncode, 0, done.stderr)
        layers = list(csv.DictReader(io.StringIO(done.stdout.decode())))
        total, = self.rows("--policy", "lru", "--capacity", 8, "--no-bounds")
        for key in ("accesses", "hits", "demand_misses", "evictions"):
            self.assertEqual(sum(int(row[key]) for row in layers), total[key], key)

    def test_bad_arguments_name_the_remedy(self):
        for words, arguments in [(["32 experts"], ["--capacity", "33"]),
                                 (["lur", "lru"], ["--policy", "lur"]),
                                 (["cannot"], ["--budget", "6GiB", "--profile", "/no/such/file",
                                               "--policy", "fiddler"])]:
            done = sluice("replay", TRACE, *arguments)
            self.assertNotEqual(done.returncode, 0)
            for word in words:
                self.assertIn(word, done.stderr)

    def test_tuning_is_never_worse_than_lru_where_it_trained(self):
        done = sluice("policy", "tune", TRACE, "--budget", "4MB", "--expert-bytes", "74KB",
                      "--cost", "misses", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        tuned = json.loads(done.stdout)
        evictions = {t["answer"]: t["cost"] for t in tuned["trials"] if t["question"] == "eviction"}
        kept = [t["cost"] for t in tuned["trials"] if t["kept"]]
        self.assertLessEqual(min(kept), evictions["eviction = lru"])
        self.assertEqual(sluice("policy", "check", "-",
                                stdin=tuned["policy"].encode()).returncode, 0)

    def test_auto_makes_a_policy_that_runs(self):
        for budget in ("24MiB", "256MiB"):
            done = sluice("policy", "auto", "--ram-budget", budget, "--probe-seconds", 0.05)
            self.assertEqual(done.returncode, 0, done.stderr)
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "auto.moe")
                path.write_bytes(done.stdout)
                run = sluice("run", "-p", "sort: 4 2 =", "-n", 4, "--policy", path,
                             "--ram-budget", budget)
                self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(b"Every expert fits", done.stdout)


if __name__ == "__main__":
    unittest.main()
