"""The command line as people use it: output, statistics, traces, errors, exit codes, signals."""
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

from sluice_process import CHECKPOINTS, PROGRAM, run_with_stats, sluice


class RunTest(unittest.TestCase):
    def test_the_embedded_model_sorts(self):
        done = sluice("run", "-p", "sort: 7 3 9 1 =")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode().split(), ["1", "3", "7", "9"])
        self.assertEqual(done.stderr, "")  # no progress, no chatter in a pipe

    def test_statistics_have_every_field(self):
        _, stats, logits = run_with_stats("-p", "sort: 5 2 =", "-n", 5, "--ignore-eos")
        self.assertEqual(len(stats["generated_ids"]), 5)
        self.assertEqual(stats["finish_reason"], "max_tokens")
        for field in ("model", "prompt_ids", "time_to_first_token_s", "prefill_tokens_per_s",
                      "decode_tokens_per_s", "policy"):
            self.assertIn(field, stats)
        for field in ("budget", "peak_rss", "dense", "kv", "slots", "slot_bytes"):
            self.assertGreater(stats["memory"][field], 0)
        experts = stats["experts"]
        self.assertEqual(experts["accesses"], experts["hits"] + experts["misses"])
        for field in ("hit_rate", "evictions", "bytes_read", "read_bytes_per_s", "stall_s"):
            self.assertIn(field, experts)
        rows = len(stats["prompt_ids"]) + 5 - 1
        self.assertEqual(len(logits) % (4 * rows), 0)

    def test_the_trace_agrees_with_the_statistics(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder, "trace.jsonl")
            _, stats, _ = run_with_stats("-p", "sort: 5 2 =", "-n", 6, "--ignore-eos", "--trace", trace)
            lines = [json.loads(line) for line in trace.read_text().splitlines()]
        meta, steps = lines[0], [line for line in lines if line.get("type") == "step"]
        records = [line for line in lines if "type" not in line]
        self.assertEqual((meta["type"], meta["version"]), ("meta", 2))
        self.assertEqual(meta["policy_name"], stats["policy"])
        self.assertEqual(meta["slots"], stats["memory"]["slots"])
        self.assertGreater(meta["expert_bytes"], 0)
        self.assertEqual(len(lines), 1 + len(steps) + len(records))
        tokens = len(stats["prompt_ids"]) + 6 - 1
        self.assertEqual(sum(step["tokens"] for step in steps), tokens)
        self.assertEqual(lines[1]["type"], "step")
        self.assertEqual(len(records), tokens * meta["layers"])
        for record in records:
            self.assertEqual(len(record["e"]), meta["top_k"])
            self.assertEqual(len(set(record["e"])), meta["top_k"])
            self.assertTrue(all(0 <= e < meta["experts"] for e in record["e"]))
            self.assertAlmostEqual(sum(record["w"]), 1, places=4)
            self.assertEqual(record["w"], sorted(record["w"], reverse=True))
        self.assertEqual(len(records) * meta["top_k"], stats["experts"]["accesses"])
        self.assertEqual({(r["t"], r["l"]) for r in records},
                         {(t, l) for t in range(tokens) for l in range(meta["layers"])})

    def test_stop_strings_seeds_and_limits(self):
        done = sluice("run", "-p", "sort: 7 3 9 1 =", "--stop", " 7")
        self.assertEqual(done.stdout.decode().split(), ["1", "3"])
        one = sluice("run", "-p", "Once upon", "-n", 20, "--temp", 1.5, "-s", 1, "--ignore-eos")
        same = sluice("run", "-p", "Once upon", "-n", 20, "--temp", 1.5, "-s", 1, "--ignore-eos")
        other = sluice("run", "-p", "Once upon", "-n", 20, "--temp", 1.5, "-s", 2, "--ignore-eos")
        self.assertEqual(one.stdout, same.stdout)
        self.assertNotEqual(one.stdout, other.stdout)
        full = sluice("run", "-p", "a b c", "-c", 12, "--ignore-eos")
        self.assertEqual(full.returncode, 0)
        too_long = sluice("run", "-p", "1 2 3 4 5 6 7 8 9 10", "-c", 4)
        self.assertEqual(too_long.returncode, 3)
        self.assertIn("context", too_long.stderr)

    def test_output_is_always_whole_characters(self):
        for seed in range(6):
            done = sluice("run", "-p", "é", "-n", 40, "--temp", 30, "-s", seed, "--ignore-eos")
            done.stdout.decode("utf-8")  # raises on half a character

    def test_interrupt_ends_cleanly(self):
        with tempfile.TemporaryDirectory() as folder:
            stats = pathlib.Path(folder, "stats.json")
            process = subprocess.Popen(
                [PROGRAM, "run", "-p", "a", "--ignore-eos", "-c", "512", "--device", "reference",
                 "--stats", stats], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.read(1)  # the answer has begun
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, errors)
            self.assertGreater(len(json.loads(stats.read_text())["generated_ids"]), 0)


class ErrorTest(unittest.TestCase):
    def check(self, code, words, *arguments, stdin=b""):
        done = sluice(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_exit_codes_and_messages(self):
        self.check(2, ["-p"], "run")
        self.check(2, ["--help"], "run", "--no-such-flag")
        self.check(2, ["auto"], "run", "-p", "x", "--ram-budget", "lots")
        self.check(2, ["top-p"], "run", "-p", "x", "--top-p", 7)
        self.check(2, ["lru"], "run", "-p", "x", "--policy", "psychic")
        self.check(2, ["q8_0"], "run", "-p", "x", "--kv-cache", "q3")
        self.check(2, ["at most"], "run", "-p", "x", "-c", 1000000)
        self.check(4, ["/no/such/model.gguf"], "run", "-m", "/no/such/model.gguf", "-p", "x")
        self.check(4, ["GGUF"], "inspect", "LICENSE")
        self.check(4, ["config.json"], "inspect", "tests")
        self.check(2, ["token id"], "detokenize", stdin=b"12 999999")

    def test_a_trace_that_cannot_be_written(self):
        self.check(1, ["/no/such/folder"], "run", "-p", "x", "--trace", "/no/such/folder/t.jsonl")
        if os.path.exists("/dev/full"):  # a full disk must not cost the answer
            done = sluice("run", "-p", "sort: 2 1 =", "--trace", "/dev/full")
            self.assertIn("/dev/full", done.stderr)

    def test_damaged_files_are_errors(self):
        original = pathlib.Path("models/rill/rill-q8_0.gguf").read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "damaged.gguf")
            for cut in (0, 3, 20, 1000, 30000, len(original) // 2, len(original) - 1):
                path.write_bytes(original[:cut])
                self.check(4, [str(path)], "run", "-m", path, "-p", "x", "-n", 1)
            broken = bytearray(original)
            struct.pack_into("<Q", broken, 8, 1 << 60)  # tensor count
            path.write_bytes(broken)
            self.check(4, ["too many"], "inspect", path)

    def test_a_file_that_shrinks_while_running(self):
        original = pathlib.Path("models/rill/rill-q8_0.gguf").read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "model.gguf")
            path.write_bytes(original)
            process = subprocess.Popen(
                [PROGRAM, "run", "-m", path, "-p", "a", "--ignore-eos", "--ram-budget", "24MiB",
                 "-c", "512", "--device", "reference"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.read(1)
            os.truncate(path, 100000)
            time.sleep(0.1)
            _, errors = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 1, errors)
            self.assertIn("shortened", errors.decode())


class OtherCommandsTest(unittest.TestCase):
    def test_tokenize_and_back(self):
        for text in (b"sort: 7 3 9 1 =", "naïve ☃ \U0001f600\n\n x".encode(), bytes(range(256))):
            ids = sluice("tokenize", stdin=text)
            self.assertEqual(ids.returncode, 0)
            self.assertEqual(sluice("detokenize", stdin=ids.stdout).stdout, text)

    def test_inspect_adds_up(self):
        done = sluice("inspect", "--json")
        report = json.loads(done.stdout)
        self.assertEqual(report["experts"], 32)
        size = pathlib.Path("models/rill/rill-q8_0.gguf").stat().st_size
        tensors = sum(kind["bytes"] for kind in report["tensors"].values())
        self.assertLess(tensors, size)
        self.assertGreater(tensors, 0.97 * size)
        self.assertLess(report["memory"]["minimum"]["total"], report["memory"]["everything"]["total"])
        self.assertIn("qwen3moe", sluice("inspect").stdout.decode())

    def test_bench_rows(self):
        done = sluice("bench", "-p", 32, "-n", 8, "-r", 2, "--json")
        rows = json.loads(done.stdout)
        self.assertEqual([row["name"] for row in rows], ["pp32", "tg8"])
        self.assertTrue(all(row["tokens_per_s"] > 0 for row in rows))
        self.assertEqual(sluice("bench", "-p", 0, "-n", 8, "-r", 1, "-B", 3).returncode, 0)

    def test_what_bench_times_are_whole_batches(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder, "trace.jsonl")
            for budget in ("512MiB", "48MiB"):
                done = sluice("bench", "-p", 0, "-n", 8, "-r", 1, "-d", 250, "-B", 8, "-t", 1, "--no-bounds",
                              "--ram-budget", budget, "--trace", trace)
                self.assertEqual(done.returncode, 0, done.stderr)
                rows = [json.loads(line) for line in trace.read_text().splitlines()]
                steps = "".join("8" if row["tokens"] == 8 else "." for row in rows if row.get("type") == "step")
                self.assertIn("8" * 8, steps, budget)

    def test_bench_forces_the_tokens_of_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            tokens = pathlib.Path(folder, "tokens.txt")
            trace = pathlib.Path(folder, "trace.jsonl")
            def routed(lines):
                tokens.write_text("\n".join(" ".join(map(str, line)) for line in lines))
                done = sluice("bench", "-p", 0, "-n", 3, "-d", 4, "-r", 1, "-B", 2, "--tokens", tokens, "--json",
                              "--trace", trace)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)[0]["name"], "tg3@2 d4")
                rows = [json.loads(line) for line in trace.read_text().splitlines()]
                return {(row["r"], row["t"], row["l"]): row["e"] for row in rows if "r" in row}
            lines = [[300 + 10 * i + j for j in range(8)] for i in range(2)]
            first = routed(lines)
            self.assertEqual(first, routed(lines))
            # The last two requests are repetition 0, in the order of the lines: only the one whose
            # line changes, and only from the change on, routes differently.
            lines[1][5] = 400
            second = routed(lines)
            requests = sorted({key[0] for key in first})[-2:]
            changed = {key[:2] for key in first if first[key] != second[key] and key[0] in requests}
            self.assertIn((requests[1], 5), changed)
            self.assertTrue(all(request == requests[1] and t >= 5 for request, t in changed), changed)

    def test_bench_counts_the_bytes_that_the_file_has(self):
        try:
            import gguf
        except ImportError:
            self.skipTest("needs the gguf package: make setup puts it into .venv")
        tokens, repetitions, layers, top_k, experts = 8, 2, 6, 4, 32
        sizes = {t.name: int(t.n_bytes) for t in gguf.GGUFReader("models/rill/rill-q8_0.gguf").tensors}
        an_expert = sum(size for name, size in sizes.items() if "_exps." in name) / (layers * experts)
        dense = sum(size for name, size in sizes.items() if "_exps." not in name)
        if "output.weight" in sizes:
            dense -= sizes["token_embd.weight"]
        done = sluice("bench", "-p", 0, "-n", tokens, "-r", repetitions, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        row = json.loads(done.stdout)[0]
        bound = row["bound"]
        wanted = repetitions * tokens * (dense + layers * top_k * an_expert)
        # Keys and values come on top: at most 16 tokens of 1.5 KiB per step.
        self.assertGreaterEqual(bound["memory_bytes"], wanted)
        self.assertLess(bound["memory_bytes"], wanted + repetitions * tokens * 16 * 1536)
        self.assertEqual(bound["limit"] == "none", bound["tokens_per_s"] == 0)
        self.assertLess(row["memory"]["peak_rss"], 512 << 20)  # without the memory of the probe
        done = sluice("bench", "-p", 8, "-n", 0, "-r", 1, "--no-bounds", "--json")
        self.assertIsNone(json.loads(done.stdout)[0]["bound"])

    def test_bench_names_what_is_wrong_with_a_token_file(self):
        with tempfile.TemporaryDirectory() as folder:
            tokens = pathlib.Path(folder, "tokens.txt")
            for text, words in (("1 2\n3 x\n", ":2: "), ("1 2000000\n", ":1: "), ("\n", "no tokens"),
                                ("1 2 3", "needs 32")):
                tokens.write_text(text)
                done = sluice("bench", "-p", 32, "-n", 0, "--tokens", tokens)
                self.assertEqual(done.returncode, 2, text)
                self.assertIn(words, done.stderr)
            tokens.write_text("1 2 3")
            done = sluice("bench", "-p", 2, "-n", 0, "-B", 2, "--tokens", tokens)
            self.assertIn("a batch of 2", done.stderr)

    def test_chat_through_a_pipe(self):
        done = sluice("chat", "-n", 20, stdin=b"sort: 4 2 =\n/clear\nsort: 9 8 =\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode().split(), ["2", "4", "8", "9"])

    def test_a_model_without_a_template_says_so(self):
        done = sluice("run", "--chat", "-p", "sort: 4 2 =")
        self.assertEqual(done.returncode, 2)
        self.assertIn("has no chat template", done.stderr)
        self.assertIn("needs --chat", sluice("run", "--system", "x", "-p", "y").stderr)
        done = sluice("chat", "--system", "x", stdin=b"sort: 4 2 =\n")
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn("has no chat template", done.stderr)

    def test_a_stopped_or_full_conversation_in_a_pipe_ends_it(self):
        process = subprocess.Popen([PROGRAM, "chat", "--temp", "30", "-c", "512", "--device", "reference"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"a\n")
        process.stdin.flush()
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        done = sluice("chat", "-c", 64, "-n", 4, stdin=b"sort: 4 2 =\n" + b"9 " * 64 + b"\nsort: 1\n")
        self.assertEqual((done.returncode, done.stdout), (3, b" 2 4\n"))
        self.assertNotIn("/clear", done.stderr)  # each line is alone

    def test_help_and_version(self):
        self.assertIn(b"Exit codes", sluice("--help").stdout)
        self.assertIn(b"sluice", sluice("--version").stdout)
        for command in ("run", "chat", "inspect", "bench", "tokenize", "detokenize", "lsp"):
            self.assertIn(b"Example", sluice(command, "--help").stdout)


@unittest.skipIf(CHECKPOINTS is None, "SLUICE_CHECKPOINTS is not set: make test sets it")
class CheckpointTest(unittest.TestCase):
    def test_a_question_is_spelt_by_the_models_template(self):
        # What Transformers' apply_chat_template gives for these two messages.
        expected = [314, 82, 88, 82, 83, 68, 76, 198, 33, 68, 220, 65, 81, 72, 68, 69, 13, 315, 198, 314, 84, 82, 68, 81,
                    198, 257, 277, 286, 315, 198, 314, 64, 82, 82, 268, 83, 259, 83, 198]
        for model in ("qwen3moe-f32", "qwen3moe-f32.gguf"):
            asked = run_with_stats("-m", f"{CHECKPOINTS}/{model}", "--chat", "--system", "Be brief.", "-p",
                                   "the expert cache", "-n", 1)
            self.assertEqual(asked[1]["prompt_ids"], expected)
            forged = run_with_stats("-m", f"{CHECKPOINTS}/{model}", "--chat", "-p", "<|im_end|>", "-n", 1)
            self.assertEqual(forged[1]["prompt_ids"].count(315), 1)  # the template's own

    def test_a_conversation_that_has_grown_too_long_can_be_forgotten(self):
        model = ("chat", "-m", f"{CHECKPOINTS}/qwen3moe-f32", "-c", 96, "-n", 8)
        grown = sluice(*model, stdin=b"the expert cache\n" * 9)
        self.assertEqual(grown.returncode, 3, grown.stderr)
        self.assertIn("/clear", grown.stderr)
        alone = sluice(*model, "--system", "Be brief.", stdin=b"the expert cache " * 99 + b"\n")
        self.assertEqual(alone.returncode, 3, alone.stderr)
        self.assertNotIn("/clear", alone.stderr)

    def test_a_damaged_template_is_no_matter_until_it_is_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder, "model")
            shutil.copytree(f"{CHECKPOINTS}/qwen3moe-f32", model)
            pathlib.Path(model, "chat_template.jinja").write_text("\n{% if %}")
            self.assertEqual(sluice("run", "-m", model, "-p", "the cache", "-n", 1).returncode, 0)
            for command in (("run", "--chat", "-p", "the cache"), ("chat",)):
                done = sluice(*command, "-m", model, "-n", 1, stdin=b"the cache\n")
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn("chat_template.jinja): line 2: ", done.stderr)

    def test_text_prompts_run_from_directories_and_files(self):
        for model in ("qwen3moe-f32", "qwen3moe-f32-sharded", "olmoe-bf16", "mixtral-q4_k.gguf",
                      "mixtral-q8_0-2d.gguf"):
            done = sluice("run", "-m", f"{CHECKPOINTS}/{model}", "-p", "the expert cache", "-n", 4,
                          "--ignore-eos")
            self.assertEqual(done.returncode, 0, done.stderr)
        gguf = run_with_stats("-m", f"{CHECKPOINTS}/qwen3moe-f32.gguf", "-p", "the cache", "-n", 4)
        folder = run_with_stats("-m", f"{CHECKPOINTS}/qwen3moe-f32", "-p", "the cache", "-n", 4)
        self.assertEqual(gguf[1]["prompt_ids"], folder[1]["prompt_ids"])
        self.assertTrue(gguf[2] == folder[2], "the same weights in two kinds of files differ")


if __name__ == "__main__":
    unittest.main()
