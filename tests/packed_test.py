"""Directories with packed weights (FP8, GPTQ, AWQ, MXFP4): what `sluice convert` makes of them against a
decoding by definition (tests/golden/pack_checkpoints.py)."""
import json
import pathlib
import sys
import tempfile
import unittest

from convert_test import convert, tensors, types
from sluice_process import CHECKPOINTS, PROGRAM, sluice

try:
    import gguf
    import numpy as np

    sys.path.append(str(pathlib.Path(__file__).parent / "golden"))
    import pack_checkpoints
except ImportError:
    gguf = None

# The odd shapes leave blocks of FP8 that are not whole.
SOURCES = {"fp8": "qwen3moe-odd-f32", "fp8-channel": "qwen3moe-odd-f32", "gptq": "qwen3moe-odd-f32",
           "gptq-act": "qwen3moe-odd-f32", "awq": "qwen3moe-odd-f32", "mxfp4": "gpt-oss-f32"}
EXPERTS = "blk.1.ffn_up_exps.weight"


@unittest.skipIf(gguf is None or not CHECKPOINTS, "needs the gguf package and the checkpoints: make setup")
class PackedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.held = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.held.name)
        for kind, source in SOURCES.items():
            pack_checkpoints.pack(kind, pathlib.Path(CHECKPOINTS, source), cls.folder / kind)
            pack_checkpoints.write_decoded(cls.folder / kind, cls.folder / f"{kind}-decoded")

    @classmethod
    def tearDownClass(cls):
        cls.held.cleanup()

    def converted(self, name, kind, *flags):
        path = self.folder / f"{name}-{kind}.gguf"
        convert(self.folder / name, path, "--type", kind, *flags)
        return path

    def assert_same_tensors(self, path, other):
        ours, theirs = tensors(path), tensors(other)
        self.assertEqual(ours.keys(), theirs.keys())
        for name, tensor in theirs.items():
            self.assertEqual(ours[name].data.tobytes(), tensor.data.tobytes(), name)

    def test_numbers_are_those_of_the_definition(self):
        for kind in SOURCES:
            with self.subTest(kind):
                self.assert_same_tensors(self.converted(kind, "f32"), self.converted(kind + "-decoded", "f32"))

    def test_they_are_quantized_like_any_others(self):
        for kind in ("fp8", "gptq-act", "awq", "mxfp4"):
            with self.subTest(kind):
                self.assert_same_tensors(self.converted(kind, "q8_0", "-t", "3", "--ram-budget", "32MiB"),
                                         self.converted(kind + "-decoded", "q8_0"))

    def test_mxfp4_loses_nothing_as_mxfp4(self):
        path = self.converted("mxfp4", "mxfp4")
        exact = tensors(self.converted("mxfp4-decoded", "f32"))
        for name, tensor in tensors(path).items():
            if name.endswith("_exps.weight"):
                self.assertEqual(tensor.tensor_type.name, "MXFP4", name)
                values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
                self.assertEqual(values.tobytes(), exact[name].data.tobytes(), name)

    def test_symmetric_gptq_loses_nothing_as_q4_0(self):
        path = self.converted("gptq", "q4_0")
        exact = tensors(self.converted("gptq-decoded", "f32"))
        self.assertEqual(types(path)[EXPERTS], "Q4_0")
        taken_over = 0
        for name, tensor in tensors(path).items():
            if tensor.tensor_type.name == "Q4_0" and name != "token_embd.weight":
                values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
                self.assertEqual((values == exact[name].data).all(), True, name)
                taken_over += 1
        self.assertEqual(taken_over, 14)

    def test_they_run_when_converted_and_not_before(self):
        for kind in SOURCES:
            with self.subTest(kind):
                done = sluice("run", "-m", self.folder / kind, "-p", "a", "-n", "1")
                self.assertEqual(done.returncode, 4)
                self.assertIn("sluice convert", done.stderr)
                path = self.converted(kind, "q8_0")
                done = sluice("run", "-m", path, "-p", "a", "-n", "1", "--ram-budget", "256MiB")
                self.assertEqual(done.returncode, 0, done.stderr)

    def refused(self, kind, stored, config, to="q8_0"):
        """What `sluice convert` says of a packed directory with these tensors."""
        with tempfile.TemporaryDirectory() as folder:
            target = pathlib.Path(folder, "model")
            names = {name: name for name in ("float32", "float16", "int32", "uint8", "int16")}
            written = {name: (names[x.dtype.name], np.ascontiguousarray(x)) for name, x in stored.items()}
            pack_checkpoints.write(self.folder / kind, target, written, {"quantization_config": config})
            return sluice("convert", target, "-o", pathlib.Path(folder, "x.gguf"), "--type", to)

    def test_codes_that_are_taken_over_need_finite_scales(self):
        stored = pack_checkpoints.raw_tensors(self.folder / "gptq" / "model.safetensors")
        config = json.loads((self.folder / "gptq" / "config.json").read_text())["quantization_config"]
        name = "model.layers.0.self_attn.o_proj.scales"
        stored[name] = stored[name].copy()
        stored[name][0, 0] = np.inf
        done = self.refused("gptq", stored, config, to="q4_0")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("not finite", done.stderr)

    def test_fp8_of_latent_attention_is_refused_with_what_to_do(self):
        pack_checkpoints.pack("fp8", pathlib.Path(CHECKPOINTS, "deepseek2-f32"), self.folder / "latent")
        done = sluice("convert", self.folder / "latent", "--dry-run")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("latent attention", done.stderr)
        self.assertIn("unpacked", done.stderr)

    def test_helpers_of_another_type_are_refused(self):
        layer = "model.layers.0.self_attn.q_proj."
        for kind, name, dtype, words in (
                ("gptq", layer + "qzeros", np.int16, ("qzeros", "I16", "I32")),
                ("gptq", layer + "g_idx", np.uint8, ("g_idx", "U8", "I32")),
                ("gptq", layer + "g_idx", np.float32, ("g_idx", "F32", "I32")),
                ("awq", layer + "qzeros", np.uint8, ("qzeros", "U8", "I32")),
                ("mxfp4", "model.layers.0.mlp.experts.down_proj_scales", np.int16, ("_scales", "I16", "U8"))):
            with self.subTest((kind, name, dtype)):
                stored = pack_checkpoints.raw_tensors(self.folder / kind / "model.safetensors")
                config = json.loads((self.folder / kind / "config.json").read_text())["quantization_config"]
                stored[name] = stored[name].astype(dtype)
                done = self.refused(kind, stored, config)
                self.assertEqual(done.returncode, 4, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)

    def test_what_is_damaged_or_not_known_is_named(self):
        def changed(change):
            stored = pack_checkpoints.raw_tensors(self.folder / "gptq" / "model.safetensors")
            config = json.loads((self.folder / "gptq" / "config.json").read_text())["quantization_config"]
            change(stored, config)
            return self.refused("gptq", stored, config)

        layer = "model.layers.0.self_attn.q_proj."
        for change, word in (
                (lambda stored, config: stored.pop(layer + "qzeros"), "qzeros"),
                (lambda stored, config: stored.pop(layer + "scales"), "scales"),
                (lambda stored, config: stored.update({layer + "scales": stored[layer + "scales"][:, :8]}), "scales"),
                (lambda stored, config: stored.update({layer + "scales": stored[layer + "scales"][:0]}), "scales"),
                (lambda stored, config: stored.update({layer + "qweight": stored[layer + "qweight"][:0]}), "q_proj"),
                (lambda stored, config: stored.update({layer + "g_idx": stored[layer + "g_idx"] + 99}), "g_idx"),
                (lambda stored, config: config.update(bits=3), "3 bits"),
                (lambda stored, config: config.update(quant_method="aqlm"), "aqlm")):
            with self.subTest(word):
                done = changed(change)
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn(word, done.stderr)


if __name__ == "__main__":
    print(f"testing {PROGRAM}")
    unittest.main()
