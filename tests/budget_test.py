"""The promise: the same bits under every budget, thread count, chunk size, device and company, within the budget."""
import unittest

from sluice_process import run_with_stats, sluice

PROMPTS = ["sort: 7 3 9 1 =", "add: 17 + 25 =", "The quick brown fox", "{\"name\": \"Ada\", ",
           "reverse: a b c d =", "Once upon a time there was a", "1 2 3 4 5 6 7 8", "((([]"]
TOKENS = 24


def batch(prompts):
    return [word for prompt in prompts for word in ("-p", prompt)]


class BudgetTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Everything resident, one thread, alone: what all other runs have to repeat.
        cls.alone = {}
        for prompt in PROMPTS:
            _, stats, logits = run_with_stats("-p", prompt, "-n", TOKENS, "-t", 1, "--ignore-eos")
            cls.alone[prompt] = (stats["generated_ids"], logits)
        cls.memory = stats["memory"]

    def budgets(self, extra_kv):
        # What a run needs varies by a few pages from start to start.
        least = self.memory["minimum"] + extra_kv + (1 << 20)
        most = self.memory["everything"] + extra_kv + (2 << 20)
        return [least + (most - least) * i // 5 for i in range(6)]

    def check_memory(self, stats):
        memory = stats["memory"]
        self.assertLessEqual(memory["peak_rss"], memory["budget"])

    def test_bits_are_equal_alone(self):
        for threads in (1, 2):
            rates = []
            for budget in self.budgets(0):
                _, stats, logits = run_with_stats("-p", PROMPTS[0], "-n", TOKENS, "-t", threads,
                                                  "--ignore-eos", "--ram-budget", budget)
                self.assertEqual(stats["memory"]["budget"], budget)
                self.assertEqual(stats["generated_ids"], self.alone[PROMPTS[0]][0])
                self.assertTrue(logits == self.alone[PROMPTS[0]][1], f"logits differ at {budget}")
                self.check_memory(stats)
                rates.append(stats["experts"]["hit_rate"])
            print("hit rates from the least to the largest budget:", [round(r, 3) for r in rates])
            self.assertEqual(rates, sorted(rates))
            self.assertLess(rates[0], rates[-1])

    def test_bits_are_equal_in_a_batch(self):
        kv = 8 * self.memory["kv"]
        for threads in (1, 2):
            for budget in self.budgets(kv + (8 << 20)):
                _, stats, logits = run_with_stats(*batch(PROMPTS), "-n", TOKENS, "-t", threads,
                                                  "--ignore-eos", "--ram-budget", budget)
                self.check_memory(stats)
                at = 0
                for prompt, request in zip(PROMPTS, stats["requests"], strict=True):
                    ids, expected = self.alone[prompt]
                    self.assertEqual(request["generated_ids"], ids)
                    self.assertTrue(logits[at:at + len(expected)] == expected,
                                    f"logits of {prompt!r} differ at {budget}")
                    at += len(expected)
                self.assertEqual(at, len(logits))

    def test_bits_do_not_depend_on_chunks_devices_or_traces(self):
        prompt = "sort: 7 3 9 1 = " * 12
        _, _, expected = run_with_stats("-p", prompt, "-n", 8)
        for flags in (["-b", 1], ["-b", 7], ["-b", 64, "-t", 3], ["--trace", "/dev/null"],
                      ["-b", 16, "--ram-budget", "24MiB"]):
            _, _, logits = run_with_stats("-p", prompt, "-n", 8, *flags)
            self.assertTrue(logits == expected, f"logits differ with {flags}")

    def test_a_budget_that_is_too_small_is_refused_with_the_numbers(self):
        done = sluice("run", "-p", "x", "--ram-budget", "6MiB")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(done.stdout, b"")
        for word in ("6.0 MiB", "dense weights", "KV cache", "one expert slot", "needed at least",
                     "--ram-budget"):
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
