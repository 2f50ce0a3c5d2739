"""`sluice synth`: what it writes, as the gguf package reads it, and as the engine runs it."""
import json
import os
import pathlib
import tempfile
import unittest

from sluice_process import PROGRAM, sluice

try:
    import gguf
    import numpy as np
except ImportError:
    gguf = None

SMALL = ("--experts", "12", "--vocab", "512")
# architecture, layers that a test needs, tensors of the last layer that tell the architectures apart:
# name -> shape as in PyTorch, and keys.
SHAPES = {
    "qwen3-30b-a3b": ("qwen3moe", 1, {
        "attn_q": (4096, 2048), "attn_k": (512, 2048), "attn_q_norm": (128,), "ffn_gate_inp": (12, 2048),
        "ffn_gate_exps": (12, 768, 2048), "ffn_down_exps": (12, 2048, 768)},
        {"expert_used_count": 8, "attention.key_length": 128, "context_length": 40960}),
    "qwen1.5-moe-a2.7b": ("qwen2moe", 1, {
        "attn_k": (2048, 2048), "ffn_down_exps": (12, 2048, 1408), "ffn_gate_inp_shexp": (2048,),
        "ffn_up_shexp": (5632, 2048)}, {"expert_shared_feed_forward_length": 5632}),
    "olmoe-1b-7b": ("olmoe", 1, {"attn_q_norm": (2048,), "ffn_up_exps": (12, 1024, 2048)},
                    {"expert_count": 12}),
    "deepseek-v2-lite": ("deepseek2", 2, {
        "attn_q": (16 * 192, 2048), "attn_kv_a_mqa": (576, 2048), "attn_kv_a_norm": (512,),
        "attn_kv_b": (16 * 256, 512), "ffn_gate_exps": (12, 1408, 2048), "ffn_up_shexp": (2816, 2048)},
        {"attention.kv_lora_rank": 512, "leading_dense_block_count": 1, "attention.value_length": 128}),
    "deepseek-moe-16b": ("deepseek", 2, {"attn_k": (2048, 2048), "ffn_up_shexp": (2816, 2048)},
                         {"leading_dense_block_count": 1, "expert_shared_count": 2, "expert_used_count": 6}),
    "gpt-oss-20b": ("gpt-oss", 1, {
        "attn_q": (64 * 64, 2880), "attn_k": (8 * 64, 2880), "attn_sinks": (64,), "post_attention_norm": (2880,),
        "ffn_down_exps": (12, 2880, 2880)},
        {"attention.sliding_window": 128, "rope.scaling.original_context_length": 4096, "expert_used_count": 4}),
    "glm-4.5-air": ("glm4moe", 2, {
        "attn_q": (96 * 128, 4096), "attn_v": (8 * 128, 4096), "ffn_gate_exps": (12, 1408, 4096),
        "ffn_down_shexp": (4096, 1408)},
        {"rope.dimension_count": 64, "expert_gating_func": 2, "expert_weights_norm": True, "expert_used_count": 8}),
    "llama-3.1-8b": ("llama", 1, {"attn_k": (1024, 4096), "ffn_gate": (14336, 4096)}, {"rope.freq_base": 500000.0}),
    "qwen3-8b": ("qwen3", 1, {"attn_k_norm": (128,), "ffn_down": (4096, 12288)}, {"attention.head_count": 32}),
}
DENSE = ("llama-3.1-8b", "qwen3-8b")


def write(folder, *arguments):
    path = pathlib.Path(folder, "model.gguf")
    done = sluice("synth", "-o", path, *arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return path, done.stdout.decode()


def field(reader, name):
    return reader.get_field(name).contents()


@unittest.skipIf(gguf is None, "needs the gguf package: make setup puts it into .venv")
class GgufPackageTest(unittest.TestCase):
    def test_every_shape_has_its_keys_and_tensors(self):
        for shape, (architecture, layers, tensors, keys) in SHAPES.items():
            with self.subTest(shape), tempfile.TemporaryDirectory() as folder:
                small = SMALL[2:] if shape in DENSE else SMALL
                path, _ = write(folder, "--shape", shape, "--layers", layers, "--type", "q4_0", *small)
                reader = gguf.GGUFReader(path)
                self.assertEqual(field(reader, "general.architecture"), architecture)
                self.assertEqual(field(reader, f"{architecture}.block_count"), layers)
                for key, value in keys.items():
                    self.assertEqual(field(reader, f"{architecture}.{key}"), value, key)
                self.assertEqual(len(field(reader, "tokenizer.ggml.tokens")), 512)
                self.assertEqual(len(set(field(reader, "tokenizer.ggml.tokens"))), 512)
                self.assertEqual(len(field(reader, "tokenizer.ggml.token_type")), 512)
                found = {t.name: t for t in reader.tensors}
                for name, wanted in tensors.items():
                    tensor = found[f"blk.{layers - 1}.{name}.weight"]
                    self.assertEqual(tuple(int(n) for n in reversed(tensor.shape)), wanted, name)
                end = max(t.data_offset + t.n_bytes for t in reader.tensors)
                self.assertEqual((end + 31) // 32 * 32, path.stat().st_size)
                for tensor in reader.tensors:
                    self.assertEqual(tensor.data_offset % 32, 0)

    def test_weights_of_every_type_have_the_wanted_size_and_no_mean(self):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q4_k",
                         "q5_k", "q6_k", "iq4_nl", "iq4_xs", "mxfp4"):
                with self.subTest(kind):
                    path, _ = write(folder, "--layers", "1", "--type", kind, "--experts", "8", "--vocab", "512")
                    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
                    # MXFP4 is for experts only.
                    name = "ffn_gate_exps" if kind == "mxfp4" else "attn_q"
                    weight = tensors[f"blk.0.{name}.weight"]
                    self.assertEqual(weight.tensor_type.name, kind.upper())
                    values = gguf.quants.dequantize(weight.data, weight.tensor_type).astype(np.float64)
                    rms = np.sqrt(np.mean(values**2)) * np.sqrt(2048)
                    # MXFP4 has powers of two for scales.
                    self.assertAlmostEqual(rms, 1, delta=0.5 if kind == "mxfp4" else 0.04)
                    self.assertLess(abs(values.mean()) * np.sqrt(2048), 0.02)

    def test_q4_k_m_mixes_as_the_quantizer_does(self):
        with tempfile.TemporaryDirectory() as folder:
            path, _ = write(folder, "--shape", "qwen1.5-moe-a2.7b", "--layers", "8", "--type", "q4_k_m", *SMALL[2:],
                            "--experts", "4")
            kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}
            self.assertEqual(kinds["output.weight"], "Q6_K")
            self.assertEqual(kinds["token_embd.weight"], "Q4_K")
            self.assertEqual(kinds["blk.0.ffn_gate_inp.weight"], "F32")
            values = [kinds[f"blk.{i}.attn_v.weight"] for i in range(8)]
            # use_more_bits(i, 8): i < 1, i >= 7, or (i - 1) % 3 == 2.
            self.assertEqual([k == "Q6_K" for k in values], [i in (0, 3, 6, 7) for i in range(8)])
            # 1408 is no multiple of 256: Q6_K becomes Q8_0 and Q4_K becomes Q5_0.
            self.assertEqual(kinds["blk.0.ffn_down_exps.weight"], "Q8_0")
            self.assertEqual(kinds["blk.1.ffn_down_exps.weight"], "Q5_0")
            self.assertEqual(kinds["blk.1.ffn_gate_exps.weight"], "Q4_K")


class RunTest(unittest.TestCase):
    def test_the_engine_runs_it_and_tokens_choose_differently(self):
        with tempfile.TemporaryDirectory() as folder:
            path, said = write(folder, "--layers", "2", "--type", "q4_0", "--experts", "32", "--vocab", "1024")
            self.assertIn("least recently used", said)
            trace = pathlib.Path(folder, "trace.jsonl")
            logits = pathlib.Path(folder, "logits")
            done = sluice("run", "-m", path, "-p", "the ship and the tin horn on the lone land", "-n", "4",
                          "--trace", trace, "--logits", logits, "--ignore-eos")
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = [json.loads(line) for line in trace.read_text().splitlines()]
            for layer in range(2):
                chosen = [tuple(row["e"]) for row in rows if row.get("l") == layer and "e" in row and "r" in row]
                self.assertGreater(len(chosen), 10)
                self.assertGreater(len(set(chosen)), len(chosen) // 2)
            if gguf is not None:
                values = np.frombuffer(logits.read_bytes(), np.float32)
                self.assertTrue(np.isfinite(values).all())
                self.assertLess(abs(values).max(), 100)
                self.assertGreater(values.std(), 0.5)

    def test_mixtral_has_a_sentencepiece_vocabulary(self):
        with tempfile.TemporaryDirectory() as folder:
            path, _ = write(folder, "--shape", "mixtral-8x7b", "--layers", "1", "--type", "q4_0", "--experts", "2",
                            "--vocab", "512")
            done = sluice("tokenize", "-m", path, stdin=b"a b")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(sluice("detokenize", "-m", path, stdin=done.stdout).stdout.strip(), b"a b")

    def test_same_flags_same_bytes_and_habits_change_them(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = ("--layers", "1", "--type", "q4_k", "--experts", "8", "--vocab", "512")
            first = write(folder, *flags)[0].read_bytes()
            self.assertEqual(first, write(folder, *flags)[0].read_bytes())
            self.assertNotEqual(first, write(folder, *flags, "--seed", "2")[0].read_bytes())
            self.assertNotEqual(first, write(folder, *flags, "--skew", "0")[0].read_bytes())

    def test_tokens_are_distinct_sequences_of_the_vocabulary(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tokens.txt")
            done = sluice("synth", "--shape", "olmoe-1b-7b", "--tokens", path, "--sequences", "3", "--length", "50")
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [list(map(int, line.split())) for line in path.read_text().splitlines()]
            self.assertEqual([len(line) for line in lines], [50, 50, 50])
            self.assertEqual(len({tuple(line) for line in lines}), 3)
            self.assertTrue(all(0 <= token < 50304 for line in lines for token in line))


class RefusalTest(unittest.TestCase):
    def test_bad_flags_are_named_with_what_there_is(self):
        for flags, words in (
                (("--shape", "gpt-5", "-o", "x"), ("gpt-5", "olmoe-1b-7b")),
                (("--type", "q9", "-o", "x"), ("q9", "q4_k_m")),
                ((), ("-o",)),
                (("--layers", "49", "-o", "x"), ("49", "48")),
                (("--experts", "4", "-o", "x"), ("4", "8")),
                (("--vocab", "300", "-o", "x"), ("300",)),
                (("--skew", "0.7", "--locality", "0.7", "-o", "x"), ("0.7",)),
                (("--shape", "deepseek-v2-lite", "--layers", "1", "-o", "x"), ("deepseek-v2-lite",))):
            with self.subTest(flags):
                done = sluice("synth", *flags)
                self.assertEqual(done.returncode, 2, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists("x"))

    def test_a_file_that_cannot_be_written(self):
        done = sluice("synth", "-o", "/no/such/folder/x.gguf", "--layers", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such/folder/x.gguf", done.stderr)


if __name__ == "__main__":
    print(f"testing {PROGRAM}")
    unittest.main()
