"""A full disk, short memory, and a kill, at every operation of the commands.

Whatever happens, what has its final name is whole: the new content, or what was there before. A command
that fails says which file and why, and leaves nothing else behind.
"""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from sluice_process import CHECKPOINTS, PROGRAM, sluice

SHIM = os.environ.get("SLUICE_FAULT_SHIM")
OLD = b"what was there before"
KINDS = ("error", "short", "interrupt", "kill")
CAUSES = ("No space left on device", "Permission denied", "Input/output error")


def faulty(fault, count_path, arguments, folder):
    """The finished process of a command under a fault, and whether the fault happened."""
    environment = {**os.environ, "LD_PRELOAD": SHIM, "SLUICE_FAULT": fault, "SLUICE_FAULT_COUNT": str(count_path)}
    count_path.unlink(missing_ok=True)
    done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=300, check=False)
    done.stderr = done.stderr.decode("utf-8", "replace")
    # A killed process writes no count: it was hit.
    happened = not count_path.exists() or count_path.read_text().startswith("1")
    return done, happened


@unittest.skipIf(SHIM is None, "SLUICE_FAULT_SHIM is not set: make test sets it")
class CommandFaults(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name, "out")
        self.folder.mkdir()
        self.count_path = pathlib.Path(self.temporary.name, "count")
        self.addCleanup(self.temporary.cleanup)

    def for_every_operation(self, name, arguments, outputs, whole, inputs=None, right=None, kinds=KINDS, codes=(1,)):
        """outputs: names of files in the folder; whole(path): fails unless the content is right; codes: what the
        command may end with after a write error."""
        counts = {}
        for kind in kinds:
            counts[kind] = 0
            while True:
                for path in self.folder.iterdir():
                    path.unlink()
                for output in outputs:
                    (self.folder / output).write_bytes((inputs or {}).get(output, OLD))
                fault = f"write:{kind}:{counts[kind] + 1}"
                done, happened = faulty(fault, self.count_path, arguments, self.folder)
                with self.subTest(command=name, fault=fault, stderr=done.stderr):
                    self.check(done, happened, kind, outputs, whole, inputs or {}, codes)
                    # Without its first line a trace is refused before there is an answer.
                    if right is not None and done.returncode == 0:
                        self.assertEqual(done.stdout, right)
                if not happened:
                    break
                self.assertLess(counts[kind], 10000, "the shim is not there")
                counts[kind] += 1
            self.assertGreater(counts[kind], 0, name)
        print(f"{name}: " + ", ".join(f"{count} x {kind}" for kind, count in counts.items()))

    def check(self, done, happened, kind, outputs, whole, inputs, codes):
        for path in self.folder.iterdir():
            if path.name not in outputs:
                # Only who is killed cannot clean up, and such names say what they are.
                self.assertEqual(kind, "kill", f"{path.name} was left behind")
                self.assertRegex(path.name, r"\.(\d+|partial)$")
            elif path.read_bytes() != inputs.get(path.name, OLD):
                whole(path)
        if not happened or kind in ("short", "interrupt"):
            self.assertEqual(done.returncode, 0, done.stderr)
        elif kind == "kill":
            self.assertEqual(done.returncode, -signal.SIGKILL)
        else:
            self.assertTrue(any(cause in done.stderr for cause in CAUSES), done.stderr)
            self.assertTrue(any(output in done.stderr for output in outputs), done.stderr)
            self.assertNotIn("terminate", done.stderr)
            self.assertIn(done.returncode, codes)

    def whole_trace(self, path):
        # Nothing yet, or whole steps: of a trace that was not finished, those that were.
        if path.stat().st_size > 0:
            steps = path.read_text().count('"type":"step"')
            done = sluice("trace", "stats", path)
            if steps > 0:
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_trace_and_answer(self):
        self.for_every_operation("run --trace", ["run", "-p", "sort: 7 3 9 1 =", "--trace", "t.jsonl"], ["t.jsonl"],
                                 self.whole_trace, right=b" 1 3 7 9\n", codes=(0, 1))  # the answer goes on without it

    def test_statistics(self):
        self.for_every_operation("run --stats", ["run", "-p", "sort: 7 3 9 1 =", "--stats", "s.json"], ["s.json"],
                                 lambda path: json.loads(path.read_text()))

    def test_logits(self):
        arguments = ["run", "-p", "sort: 7 3 9 1 =", "--logits", "l.f32"]
        subprocess.run([PROGRAM, *arguments], cwd=self.folder, check=True, capture_output=True)
        right = (self.folder / "l.f32").read_bytes()
        self.for_every_operation("run --logits", arguments, ["l.f32"],
                                 lambda path: self.assertEqual(path.read_bytes(), right))

    def test_converted_and_drawn_traces(self):
        trace = pathlib.Path(self.temporary.name, "t.jsonl")
        self.assertEqual(sluice("run", "-p", "sort: 7 3 9 1 =", "--trace", trace).returncode, 0)

        def whole_packed(path):
            self.assertEqual(sluice("trace", "stats", path).returncode, 0)

        self.for_every_operation("trace convert", ["trace", "convert", trace, "t.sltr"], ["t.sltr"],
                                 whole_packed)
        self.for_every_operation("trace plot", ["trace", "plot", trace, "-o", "t.html"], ["t.html"],
                                 lambda path: self.assertTrue(path.read_text().rstrip().endswith("</html>")))

    def test_formatted_policy(self):
        policy = b"policy p { cache { eviction = lru   capacity = auto } }\n"
        self.for_every_operation("policy fmt -i", ["policy", "fmt", "-i", "p.moe"], ["p.moe"],
                                 lambda path: self.assertEqual(sluice("policy", "check", path).returncode, 0),
                                 inputs={"p.moe": policy})

    def test_short_memory(self):
        for arguments in (["run", "-p", "a", "-n", "2"], ["inspect"], ["tokenize"], ["policy", "explain", "lru"]):
            count = 0
            while True:
                done, happened = faulty(f"allocate:error:{count + 1}", self.count_path, arguments, self.folder)
                if not happened:
                    break
                count += 1
                with self.subTest(arguments=arguments, allocation=count, stderr=done.stderr):
                    self.assertEqual(done.returncode, 3)
                    self.assertRegex(done.stderr, "the system gives no|[Cc]annot allocate")
            self.assertGreater(count, 0)
            print(f"{arguments[0]}: {count} x no memory")

    def test_written_model(self):
        arguments = ["synth", "--shape", "olmoe-1b-7b", "--layers", "1", "--experts", "8", "--vocab", "500", "--type",
                     "q4_0", "-o", "m.gguf"]

        def whole_model(path):
            self.assertEqual(sluice("inspect", path).returncode, 0)

        # A file of 37 MiB each time.
        self.for_every_operation("synth", arguments, ["m.gguf"], whole_model, kinds=("error", "kill"))

    @unittest.skipIf(not CHECKPOINTS, "needs the checkpoints: make setup")
    def test_converted_model_goes_on_after_every_fault(self):
        arguments = ["convert", pathlib.Path(CHECKPOINTS, "qwen3-f32").absolute(), "--type", "q4_0", "-o", "m.gguf"]
        path, partial = self.folder / "m.gguf", self.folder / "m.gguf.partial"
        faulty("write:error:0", self.count_path, arguments, self.folder)
        right = path.read_bytes()
        for kind in ("error", "kill"):
            count = 0
            while True:
                path.write_bytes(OLD)
                done, happened = faulty(f"write:{kind}:{count + 1}", self.count_path, arguments, self.folder)
                with self.subTest(kind=kind, operation=count + 1, stderr=done.stderr):
                    self.assertEqual(done.returncode == 0, not happened)
                    # The magic number comes last, when the rest is there.
                    if partial.exists() and partial.read_bytes()[:4] == b"GGUF":
                        self.assertEqual(partial.read_bytes(), right)
                    if path.read_bytes() != OLD:
                        self.assertEqual(path.read_bytes(), right)
                    faulty("write:error:0", self.count_path, arguments, self.folder)
                    self.assertEqual(path.read_bytes(), right)
                    self.assertFalse(partial.exists())
                if not happened:
                    break
                count += 1
            self.assertGreater(count, 10)
            print(f"convert: {count} x {kind}")


if __name__ == "__main__":
    unittest.main()
