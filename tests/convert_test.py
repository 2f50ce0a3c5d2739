"""`sluice convert`: its files against those that the gguf package wrote of the same weights, as the
engine computes them, and after interruptions of every kind."""
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from sluice_process import CHECKPOINTS, PROGRAM, run_with_stats, sluice

try:
    import gguf
    import numpy as np
except ImportError:
    gguf = None

ROOT = pathlib.Path(CHECKPOINTS or ".")
# Rows of Q and K change places, so sums have another order: close, not equal.
PAIRED = {"mixtral", "llama", "deepseek"}
PROMPT = ("-p", "the world is slow and the cache is fast", "-n", "4", "--ignore-eos", "--kv-cache", "f32",
          "--ram-budget", "512MiB")


def directories():
    return sorted(path for path in ROOT.iterdir() if path.is_dir())


def golden_file(directory):
    """The file of the same weights; of DeepSeek-V2 in the later of the two encodings."""
    stem, _, kind = directory.name.replace("qwen3moe-f32-sharded", "qwen3moe-f32").rpartition("-")
    return ROOT / (f"{stem}-mla-{kind}.gguf" if stem.startswith("deepseek2") else f"{stem}-{kind}.gguf")


def convert(source, target, *arguments):
    done = sluice("convert", source, "-o", target, *arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.decode()


def fields(reader):
    return {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def types(path):
    return {name: t.tensor_type.name for name, t in tensors(path).items()}


def poke(path, name, *numbers):
    """Writes float32 numbers over the first ones of a tensor of a safetensors file."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        begin = json.loads(file.read(size))[name]["data_offsets"][0]
        file.seek(8 + size + begin)
        file.write(np.array(numbers, np.float32).tobytes())


def in_folder(test):
    def run(self):
        with tempfile.TemporaryDirectory() as folder:
            test(self, pathlib.Path(folder))
    return run


@unittest.skipIf(gguf is None or not CHECKPOINTS, "needs the gguf package and the checkpoints: make setup")
class GgufPackageTest(unittest.TestCase):
    @in_folder
    def test_floats_of_every_directory_are_the_packages_byte_for_byte(self, folder):
        seen = 0
        for directory in directories():
            kind = directory.name.split("-")[-1].replace("sharded", "f32")
            if not golden_file(directory).exists():
                continue
            with self.subTest(directory.name):
                seen += 1
                path = folder / "model.gguf"
                convert(directory, path, "--type", kind)
                ours, theirs = tensors(path), tensors(golden_file(directory))
                self.assertEqual(ours.keys(), theirs.keys())
                for name, tensor in theirs.items():
                    self.assertEqual(ours[name].tensor_type, tensor.tensor_type, name)
                    self.assertEqual(list(ours[name].shape), list(tensor.shape), name)
                    self.assertEqual(ours[name].data.tobytes(), tensor.data.tobytes(), name)
        self.assertGreaterEqual(seen, 39)

    @in_folder
    def test_what_rounding_defines_is_the_packages_too(self, folder):
        for model in ("qwen3moe", "olmoe", "mixtral"):
            for kind in ("q8_0", "q4_0"):
                path = folder / "model.gguf"
                convert(ROOT / f"{model}-f32", path, "--type", kind)
                ours, theirs = tensors(path), tensors(ROOT / f"{model}-{kind}.gguf")
                for name, tensor in theirs.items():
                    # An output matrix gets six bits at least, which the golden files did not know.
                    if tensor.tensor_type != ours[name].tensor_type:
                        self.assertIn(ours[name].tensor_type.name, ("Q6_K", "Q8_0"), name)
                        continue
                    self.assertEqual(ours[name].data.tobytes(), tensor.data.tobytes(), (model, kind, name))

    @in_folder
    def test_keys_say_what_the_packages_do(self, folder):
        # Sizes of what no tensor has, and how the file calls itself.
        left_out = {"general.name", "general.size_label", "general.quantization_version"}
        for directory in directories():
            if not golden_file(directory).exists() or not directory.name.endswith("-f32"):
                continue
            with self.subTest(directory.name):
                path = folder / "model.gguf"
                convert(directory, path, "--type", "f32")
                ours = fields(gguf.GGUFReader(path))
                theirs = fields(gguf.GGUFReader(golden_file(directory)))
                for name, value in theirs.items():
                    # Each piece of a SentencePiece vocabulary has a score; only their order matters.
                    if name in left_out or name.endswith(("feed_forward_length", "ggml.scores")):
                        continue
                    if isinstance(value, float):
                        self.assertAlmostEqual(ours.get(name, 0.0), value, delta=1e-6 * abs(value), msg=name)
                    elif name == "tokenizer.ggml.pre":  # two names of one splitting
                        self.assertEqual(ours[name].replace("gpt-2", "olmo"), value)
                    else:
                        self.assertEqual(ours.get(name), value, name)

    @in_folder
    def test_every_type_is_readable_and_near(self, folder):
        source = tensors(ROOT / "qwen3moe-f32.gguf")
        rms = {}
        for kind in ("f16", "q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "iq4_xs", "q4_k_s", "q4_0", "mxfp4",
                     "q3_k_m", "q2_k"):
            path = folder / "model.gguf"
            convert(ROOT / "qwen3moe-f32", path, "--type", kind)
            tensor = tensors(path)["blk.1.ffn_gate_exps.weight"]
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            rms[kind] = np.sqrt(np.mean((values - source[tensor.name].data) ** 2)) / source[tensor.name].data.std()
        self.assertEqual(sorted(rms, key=rms.get)[:4], ["f16", "q8_0", "q6_k", "q5_k_m"])
        self.assertLess(rms["q4_k_m"], 0.08)
        self.assertLess(rms["q2_k"], 0.3)

    @in_folder
    def test_gguf_to_gguf_keeps_the_keys_and_what_is_of_the_type_already(self, folder):
        source = ROOT / "mixtral-q8_0.gguf"
        path = folder / "model.gguf"
        convert(source, path, "--type", "q8_0")
        ours, theirs = gguf.GGUFReader(path), gguf.GGUFReader(source)
        self.assertEqual(fields(ours), fields(theirs))
        kept = tensors(path)
        for name, tensor in tensors(source).items():
            self.assertEqual(kept[name].data.tobytes(), tensor.data.tobytes(), name)
        convert(source, path, "--type", "q4_k_m", "--name", "smaller")
        self.assertEqual(fields(gguf.GGUFReader(path))["general.name"], "smaller")
        kinds = types(path)
        self.assertEqual(kinds["blk.0.attn_k.weight"], "Q8_0")  # eight experts
        self.assertEqual(kinds["blk.0.attn_output.weight"], "Q5_K")
        self.assertEqual(kinds["blk.0.ffn_gate_exps.weight"], "Q4_K")
        self.assertEqual(kinds["blk.0.ffn_gate_inp.weight"], "F32")

    @in_folder
    def test_rows_that_no_block_of_256_divides(self, folder):
        path = folder / "model.gguf"
        convert(ROOT / "qwen3moe-odd-f32", path, "--type", "q4_k_m")
        kinds = types(path)
        self.assertEqual(kinds["blk.0.ffn_gate_exps.weight"], "Q5_0")
        self.assertEqual(kinds["token_embd.weight"], "Q8_0")  # it is the output matrix, too
        self.assertNotIn("output.weight", kinds)


@unittest.skipIf(gguf is None or not CHECKPOINTS, "needs the gguf package and the checkpoints: make setup")
class EngineTest(unittest.TestCase):
    @in_folder
    def test_floats_compute_what_the_directory_does(self, folder):
        for directory in directories():
            if not directory.name.endswith("-f32"):
                continue
            with self.subTest(directory.name):
                path = folder / "model.gguf"
                convert(directory, path, "--type", directory.name.split("-")[-1])
                said, _, logits = run_with_stats("-m", directory, *PROMPT)
                said_again, _, again = run_with_stats("-m", path, *PROMPT)
                self.assertEqual(said, said_again)
                if directory.name.split("-")[0] in PAIRED or directory.name.startswith("llama"):
                    both = [np.frombuffer(x, np.float32) for x in (logits, again)]
                    self.assertLess(np.abs(both[0] - both[1]).max(), 1e-4)
                else:
                    self.assertEqual(logits, again)

    @in_folder
    def test_text_becomes_the_same_tokens(self, folder):
        text = "  The world, token by token:\n\n\tit's 12345 <|im_end|> é 你好 </s> reads  two ".encode()
        for name in ("qwen3moe-f32", "olmoe-f32", "mixtral-f32"):
            path = folder / "model.gguf"
            convert(ROOT / name, path, "--type", "q8_0")
            ours = sluice("tokenize", "-m", path, stdin=text)
            self.assertEqual(ours.returncode, 0, ours.stderr)
            self.assertEqual(ours.stdout, sluice("tokenize", "-m", ROOT / name, stdin=text).stdout, name)


@unittest.skipIf(not CHECKPOINTS, "needs the checkpoints: make setup")
class InterruptionTest(unittest.TestCase):
    FLAGS = ("--type", "q4_k_m")

    def start(self, path):
        return subprocess.Popen([PROGRAM, "convert", ROOT / "qwen3moe-f32", "-o", path, *self.FLAGS, "-t", "1"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def stop_midway(self, path, stop, share):
        """Stops when about `share` of the file is written; False if it was done before."""
        partial = path.with_name(path.name + ".partial")
        process = self.start(path)
        while process.poll() is None:
            if partial.exists() and partial.stat().st_size > share * 4.2 * 2**20:
                process.send_signal(stop)
                break
            time.sleep(0.001)
        said = process.communicate()[1].decode()
        return process.returncode, said

    @in_folder
    def test_a_stopped_conversion_goes_on_to_the_same_bytes(self, folder):
        convert(ROOT / "qwen3moe-f32", folder / "whole.gguf", *self.FLAGS)
        whole = (folder / "whole.gguf").read_bytes()
        stopped = 0
        for stop in (signal.SIGINT, signal.SIGKILL):
            path = folder / "stopped.gguf"
            path.unlink(missing_ok=True)
            for share in (0.01, 0.4, 0.8):
                code, said = self.stop_midway(path, stop, share)
                if code == 0:
                    break
                stopped += 1
                self.assertFalse(path.exists())
                self.assertNotEqual(path.with_name(path.name + ".partial").read_bytes()[:4], b"GGUF")
                if stop == signal.SIGINT:
                    self.assertEqual(code, 130, said)
                    self.assertIn("stopped.gguf.partial", said)
            convert(ROOT / "qwen3moe-f32", path, *self.FLAGS)
            self.assertEqual(path.read_bytes(), whole)
            self.assertEqual(sorted(os.listdir(folder)), ["stopped.gguf", "whole.gguf"])
        self.assertGreater(stopped, 2)

    @in_folder
    def test_a_refusal_leaves_what_was_done(self, folder):
        path = folder / "model.gguf"
        code, said = self.stop_midway(path, signal.SIGINT, 0.4)
        self.assertEqual(code, 130, said)
        partial = path.with_name("model.gguf.partial")
        before = partial.read_bytes()
        done = sluice("convert", ROOT / "qwen3moe-f32", "-o", path, *self.FLAGS, "--ram-budget", "2MiB")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(partial.read_bytes(), before)

    @in_folder
    def test_a_part_of_another_file_is_not_gone_on_with(self, folder):
        path = folder / "model.gguf"
        partial = folder / "model.gguf.partial"
        for before in (b"", b"junk" * 1000, (ROOT / "qwen3moe-q8_0.gguf").read_bytes()[:100000]):
            partial.write_bytes(before)
            convert(ROOT / "qwen3moe-f32", path, "--type", "q8_0")
            self.assertFalse(partial.exists())
            done = sluice("run", "-m", path, "-p", "a", "-n", "1", "--ram-budget", "256MiB")
            self.assertEqual(done.returncode, 0, done.stderr)

    @in_folder
    def test_it_is_said_what_becomes_of_a_part(self, folder):
        source = shutil.copytree(ROOT / "qwen3moe-f32", folder / "model")
        poke(source / "model.safetensors", "lm_head.weight", np.nan)  # the last tensor of the file
        path = folder / "x.gguf"

        def said(source, kind="q8_0"):
            done = sluice("convert", source, "-o", path, "--type", kind)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("x.gguf.partial stays", done.stderr)
            return done.stderr

        first = said(source)
        self.assertNotIn("continues", first)
        self.assertNotIn("anew", first)
        self.assertIn("continues at", said(source))
        self.assertIn("continues at", said(source / ".." / "model"))  # the same files by another name
        os.utime(source / "config.json")  # which says how packed weights are decoded
        self.assertIn("begins anew because the source has changed", said(source))
        self.assertIn("begins anew because it is of another", said(source, "q4_0"))

    @in_folder
    def test_same_bytes_under_every_budget_and_number_of_threads(self, folder):
        for model in ("gpt-oss-f32", "qwen3moe-f32"):
            peaks, contents = [], set()
            for flags in (("-t", "1"), ("-t", "3", "--ram-budget", "20MiB"), ("--ram-budget", "1GiB")):
                path = folder / "model.gguf"
                said = convert(ROOT / model, path, "--type", "q4_k_m", "--json", *flags)
                peaks.append(json.loads(said)["peak_rss"])
                contents.add(path.read_bytes())
            self.assertEqual(len(contents), 1)
            self.assertLessEqual(peaks[1], 20 << 20)


@unittest.skipIf(gguf is None or not CHECKPOINTS, "needs the gguf package and the checkpoints: make setup")
class SourceTest(unittest.TestCase):
    """What lies in a directory, and what of it is refused."""

    @in_folder
    def test_numbers_that_the_file_cannot_hold_are_refused(self, folder):
        matrix = "model.layers.0.self_attn.q_proj.weight"
        for name, numbers, kind, words in (
                ("model.norm.weight", (np.nan,), "q8_0", ("not finite", "output_norm.weight")),
                (matrix, (np.inf,), "f32", ("not finite", "attn_q")),
                # All bits of the fraction: rounded like a number to BF16 it would be minus zero.
                (matrix, np.array([0x7FFFFFFF], np.uint32).view(np.float32), "bf16", ("not finite", "attn_q")),
                (matrix, (np.nan,), "f16", ("not finite", "attn_q")),
                (matrix, (np.nan,), "q4_0", ("not finite", "attn_q")),
                (matrix, (70000,), "f16", ("too large for F16", "attn_q")),
                (matrix, (1e8,), "q8_0", ("too large for Q8_0", "attn_q")),
                (matrix, (3e38, -3e38), "q4_1", ("too large for Q4_1", "attn_q"))):
            with self.subTest((name, numbers, kind)):
                source = shutil.copytree(ROOT / "qwen3moe-f32", folder / "model")
                poke(source / "model.safetensors", name, *numbers)
                done = sluice("convert", source, "-o", folder / "x.gguf", "--type", kind)
                self.assertEqual(done.returncode, 4, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
                shutil.rmtree(source)

    @in_folder
    def test_a_file_for_which_there_is_no_room_is_not_begun(self, folder):
        # A source of holes, which takes no room itself: experts that need twice what the disk has.
        experts, width, hidden = 256, 1 << 16, 1 << 10
        layers = -(-2 * shutil.disk_usage(folder).free // (experts * width * hidden))  # in Q8_0
        source, path = folder / "holes.gguf", folder / "x.gguf"
        w = gguf.GGUFWriter(source, "llama")
        for add, value in ((w.add_block_count, layers), (w.add_context_length, 64), (w.add_vocab_size, 32),
                           (w.add_embedding_length, hidden), (w.add_feed_forward_length, width),
                           (w.add_head_count, 1), (w.add_head_count_kv, 1), (w.add_key_length, 32),
                           (w.add_value_length, 32), (w.add_rope_dimension_count, 32), (w.add_expert_count, experts),
                           (w.add_expert_used_count, 1), (w.add_layer_norm_rms_eps, 1e-5)):
            add(value)
        layer = {"attn_norm": (hidden,), "ffn_norm": (hidden,), "attn_q": (32, hidden), "attn_k": (32, hidden),
                 "attn_v": (32, hidden), "attn_output": (hidden, 32), "ffn_gate_inp": (experts, hidden),
                 "ffn_gate_exps": (experts, width, hidden), "ffn_up_exps": (experts, width, hidden),
                 "ffn_down_exps": (experts, hidden, width)}
        shapes = {"token_embd": (32, hidden), "output_norm": (hidden,)}
        shapes |= {f"blk.{n}.{name}": shape for n in range(layers) for name, shape in layer.items()}
        for name, shape in shapes.items():
            kind = "Q4_0" if name.endswith("_exps") else "F32"
            elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
            w.add_tensor_info(f"{name}.weight", shape, np.dtype(np.float32), math.prod(shape) // elements * size,
                              raw_dtype=gguf.GGMLQuantizationType[kind])
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_ti_data_to_file()
        w.close()
        with open(source, "r+b") as file:
            try:
                file.truncate(layers * 3 * experts * width * hidden)
            except OSError as error:
                self.skipTest(f"no file of holes here: {error}")
        for flags in ((), ("--dry-run",)):
            done = sluice("convert", source, "-o", path, "--type", "q8_0", *flags)
            self.assertEqual(done.returncode, 1, done.stderr)
            for word in ("x.gguf", "no room", "free"):
                self.assertIn(word, done.stderr)
            self.assertEqual(os.listdir(folder), ["holes.gguf"])

    @in_folder
    def test_the_chat_template_is_the_one_that_the_engine_takes(self, folder):
        source = shutil.copytree(ROOT / "qwen3moe-f32", folder / "model")
        (source / "chat_template.jinja").write_text("{{ messages[0].content }}")
        convert(source, folder / "x.gguf", "--type", "q8_0")
        self.assertEqual(fields(gguf.GGUFReader(folder / "x.gguf"))["tokenizer.chat_template"],
                         "{{ messages[0].content }}")

    @in_folder
    def test_the_name_is_the_folders_however_it_is_given(self, folder):
        source = shutil.copytree(ROOT / "qwen3moe-f32", folder / "a-model")
        convert(source / ".", folder / "x.gguf", "--type", "q8_0")
        self.assertEqual(fields(gguf.GGUFReader(folder / "x.gguf"))["general.name"], "a-model")

    @in_folder
    def test_a_model_without_a_tokenizer_is_told(self, folder):
        source = shutil.copytree(ROOT / "qwen3moe-f32", folder / "model")
        (source / "tokenizer.json").unlink()
        done = sluice("convert", source, "-o", folder / "x.gguf", "--type", "q8_0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no tokenizer", done.stderr)

    def test_names_of_splittings_are_checked(self):
        for source, name, word in (("qwen3moe-f32", "nonsense", "known are"),
                                   ("mixtral-f32", "qwen2", "SentencePiece"),
                                   ("qwen3moe-f32.gguf", "qwen2", "GGUF")):
            done = sluice("convert", ROOT / source, "--pre", name, "--dry-run")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("--pre", done.stderr)
            self.assertIn(word, done.stderr)


class RefusalTest(unittest.TestCase):
    @in_folder
    def test_bad_flags_are_named_with_what_there_is(self, folder):
        for flags, code, words in (
                (("--type", "q9", "-o", folder / "x"), 2, ("q9", "q4_k_m")),
                ((), 2, ("-o", "--dry-run")),
                (("/no/such/model", "-o", folder / "x"), 4, ("/no/such/model",)),
                (("-o", "/no/such/folder/x.gguf"), 1, ("/no/such/folder/x.gguf",)),
                (("-o", "/no/such/folder/x.gguf", "--dry-run"), 1, ("/no/such/folder",)),
                (("-o", folder), 2, ("folder",)),
                (("-o", folder, "--dry-run"), 2, ("folder",)),
                (("-o", folder / "x", "-t", "-1"), 2, ("threads",)),
                (("-o", folder / "x", "--dry-run", "--ram-budget", "2MiB"), 3, ("2.0 MiB", "--ram-budget")),
                (("-o", folder / "x", "--ram-budget", "2MiB"), 3, ("2.0 MiB", "--ram-budget"))):
            with self.subTest(flags):
                done = sluice("convert", *flags)
                self.assertEqual(done.returncode, code, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
        self.assertEqual(os.listdir(folder), [])

    @in_folder
    def test_a_dry_run_says_the_least_budget(self, folder):
        said = json.loads(sluice("convert", "--type", "q6_k", "--dry-run", "--json").stdout)
        least = said["least_ram_budget"] >> 20
        for budget, code in ((least + 2, 0), (least - 2, 3)):
            for flags in (("--dry-run",), ("-o", folder / "x.gguf")):
                done = sluice("convert", "--type", "Q6_K", "--ram-budget", f"{budget}MiB", *flags)
                self.assertEqual(done.returncode, code, done.stderr)

    @in_folder
    def test_the_whole_process_stays_within_the_budget(self, folder):
        # Matrices of several sizes, each larger than what the budget leaves for rows.
        done = sluice("synth", "--shape", "qwen3-30b-a3b", "--layers", "1", "--experts", "8", "--vocab", "4096",
                      "--type", "q8_0", "-o", folder / "s.gguf")
        self.assertEqual(done.returncode, 0, done.stderr)
        flags = ("convert", folder / "s.gguf", "--type", "f16", "--json")
        budget = (json.loads(sluice(*flags, "--dry-run").stdout)["least_ram_budget"] >> 20) + 24
        done = sluice(*flags, "-o", folder / "x.gguf", "--ram-budget", f"{budget}MiB")
        self.assertLessEqual(json.loads(done.stdout)["peak_rss"], budget << 20)

    @in_folder
    def test_a_dry_run_says_what_is_then_written(self, folder):
        said = json.loads(sluice("convert", "--type", "q6_k", "--dry-run", "--json").stdout)
        self.assertFalse(said["written"])
        done = sluice("convert", "--type", "q6_k", "-o", folder / "x.gguf", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["bytes"], said["bytes"])
        self.assertLess(said["bytes"], (folder / "x.gguf").stat().st_size)
        self.assertLess((folder / "x.gguf").stat().st_size, said["bytes"] + (1 << 20))

    @in_folder
    def test_the_source_is_not_overwritten(self, folder):
        path = folder / "x.gguf"
        self.assertEqual(sluice("convert", "-o", path, "--type", "q8_0").returncode, 0)
        before = path.read_bytes()
        done = sluice("convert", path, "-o", path, "--type", "q4_0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("source", done.stderr)
        self.assertEqual(path.read_bytes(), before)
        # Nor as what the file is called until it is whole.
        partial = path.rename(folder / "y.partial")
        done = sluice("convert", partial, "-o", folder / "y", "--type", "q4_0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("y.partial", done.stderr)
        self.assertEqual(partial.read_bytes(), before)

    @unittest.skipIf(not CHECKPOINTS, "needs the checkpoints: make setup")
    @in_folder
    def test_no_file_of_a_source_directory_is_overwritten(self, folder):
        source = shutil.copytree(ROOT / "qwen3moe-f32", folder / "model")
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            before = (source / name).read_bytes()
            for output in (source / name, folder / "link"):
                (folder / "link.partial").unlink(missing_ok=True)
                (folder / "link.partial").symlink_to(source / name)
                done = sluice("convert", source, "-o", output)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("source", done.stderr)
            self.assertEqual((source / name).read_bytes(), before)


if __name__ == "__main__":
    print(f"testing {PROGRAM}")
    unittest.main()
