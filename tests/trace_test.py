"""sluice trace: the same figures from NumPy, and arrays that NumPy wrote."""
import html.parser
import json
import os
import pathlib
import tempfile
import unittest
import warnings

from sluice_process import sluice

try:
    import numpy as np
except ImportError:
    np = None

RILL = "models/rill/trace.jsonl"
SHARED = pathlib.Path("../shared/data/traces")
WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


def rows_of_jsonl(path):
    """Experts [tokens, layers, top_k] in the order of the trace, and the request of each token."""
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    rows = [line for line in lines[1:] if "type" not in line]
    layers = [[row["e"] for row in rows if row["l"] == l] for l in range(lines[0]["layers"])]
    requests = [row["r"] for row in rows if row["l"] == 0]
    return np.array(layers).swapaxes(0, 1), requests, lines[0]["experts"]


def best(scores, k):
    """The k highest, the lower index on ties."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :k]


def one_hot(choices, experts):
    """[tokens, top_k] -> [tokens, experts] of 0 and 1."""
    table = np.zeros((len(choices), experts))
    np.put_along_axis(table, choices, 1, axis=1)
    return table


class Witness:
    """The statistics of one layer, each from its definition."""

    def __init__(self, choices, last, experts, before):
        self.choices, self.experts = choices, experts
        self.tokens, self.k = choices.shape
        self.chosen = one_hot(choices, experts)
        self.last = None if last is None else one_hot(last, experts)
        self.before = before
        self.half = self.tokens // 2

    def entropy(self):
        share = self.chosen.sum(0) / self.chosen.sum()
        share = share[share > 0]
        return -(share * np.log2(share)).sum()

    def top_tenth(self):
        counts = np.sort(self.chosen.sum(0))[::-1]
        return counts[:-(-self.experts // 10)].sum() / counts.sum()

    def gini(self):  # mean difference of all pairs over twice the mean
        counts = self.chosen.sum(0)
        return np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())

    def overlap(self):
        have = [t for t in range(self.tokens) if self.before[t] >= 0]
        both = self.chosen[have] * self.chosen[[self.before[t] for t in have]]
        return both.sum() / (len(have) * self.k)

    def recall_popular(self):
        guess = best(self.chosen[:self.half].sum(0), self.k)
        return self.chosen[self.half:, guess].sum() / ((self.tokens - self.half) * self.k)

    def recall_affinity(self):
        """As rational numbers: floats could break ties of scores in another order than ours."""
        learned, asked = self.last[:self.half], self.last[self.half:]
        pairs = learned.T @ self.chosen[:self.half]
        table = pairs / np.maximum(learned.sum(0), 1)[:, None]
        guess = best(np.round(asked @ table, 9), self.k)
        truth = self.chosen[self.half:]
        return np.take_along_axis(truth, guess, 1).sum() / (len(truth) * self.k)

    def bits_from_last(self):
        joint = self.last.T @ self.chosen
        joint /= joint.sum()
        chance = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        there = joint > 0
        return (joint[there] * np.log2(joint[there] / chance[there])).sum()

    def working_set(self, window):
        windows = self.tokens // window
        if windows == 0:
            return None
        parts = self.choices[:windows * window].reshape(windows, -1)
        return np.mean([len(set(part)) for part in parts.tolist()])

    def reuse(self):
        """Distances by counting distinct experts since the last choice, token by token."""
        histogram, first, past, last = [0] * self.experts, 0, [], {}
        for row in self.choices.tolist():
            for expert in row:
                if expert in last:
                    histogram[len(set(past[last[expert] + 1:]))] += 1
                else:
                    first += 1
            for expert in row:
                last[expert] = len(past)
                past.append(expert)
        return histogram, first


@unittest.skipIf(np is None, "no NumPy: tools/install_dependencies.sh puts it into .venv")
class StatisticsTest(unittest.TestCase):
    def report(self, path):
        done = sluice("trace", "stats", path, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)[0]

    def compare(self, report, experts_of_tokens, before, experts, reuse_tokens):
        layers = experts_of_tokens.shape[1]
        self.assertEqual(report["layers"], layers)
        self.assertEqual(report["tokens"], len(experts_of_tokens))
        self.assertEqual(report["conversations"], before.count(-1))
        found = {key: [] for key in ("entropy_bits", "gini", "overlap", "recall_popular",
                                     "recall_affinity", "top_tenth_share")}
        for l in range(layers):
            layer = report["per_layer"][l]
            last = experts_of_tokens[:, l - 1] if l > 0 else None
            witness = Witness(experts_of_tokens[:, l], last, experts, before)
            self.assertEqual(layer["counts"], witness.chosen.sum(0).astype(int).tolist())
            self.assertAlmostEqual(layer["entropy_bits"], witness.entropy(), places=9)
            self.assertAlmostEqual(layer["top_tenth_share"], witness.top_tenth(), places=9)
            self.assertAlmostEqual(layer["gini"], witness.gini(), places=9)
            self.assertAlmostEqual(layer["overlap"], witness.overlap(), places=9)
            self.assertAlmostEqual(layer["recall_popular"], witness.recall_popular(), places=9)
            if l > 0:
                # Scores that differ by the order of a sum alone may break ties otherwise.
                self.assertAlmostEqual(layer["recall_affinity"], witness.recall_affinity(), places=3)
                self.assertAlmostEqual(report["per_layer"][l - 1]["next_layer_bits"],
                                       witness.bits_from_last(), places=9)
            for window in WINDOWS:
                expected = witness.working_set(window)
                if expected is None:
                    self.assertIsNone(layer["working_set"][str(window)])
                else:
                    self.assertAlmostEqual(layer["working_set"][str(window)], expected, places=9)
            if len(experts_of_tokens) <= reuse_tokens:
                histogram, first = witness.reuse()
                self.assertEqual(layer["reuse"]["histogram"], histogram)
                self.assertEqual(layer["reuse"]["first_choices"], first)
            for pair in layer["together"]:
                a, b = pair["experts"]
                both = (witness.chosen[:, a] * witness.chosen[:, b]).sum()
                self.assertEqual(pair["tokens"], both)
                self.assertAlmostEqual(
                    pair["lift"], both * witness.tokens /
                    (witness.chosen[:, a].sum() * witness.chosen[:, b].sum()), places=9)
            for key, values in found.items():
                values.append(layer[key])
        for key, values in found.items():
            self.assertAlmostEqual(report[key], np.mean([v for v in values if v is not None]), places=9)

    def test_rill(self):
        choices, requests, experts = rows_of_jsonl(RILL)
        before, last = [], {}
        for t, request in enumerate(requests):
            before.append(last.get(request, -1))
            last[request] = t
        self.compare(self.report(RILL), choices, before, experts, 10000)

    @unittest.skipUnless(SHARED.exists(), f"{SHARED} is not there")
    def test_qwen3(self):
        path = SHARED / "qwen3-30b-a3b-general.npz"
        choices = np.load(path)["experts"].swapaxes(0, 1).astype(int)[:, :6]
        # Six of its layers, as an archive of its own.
        with tempfile.TemporaryDirectory() as folder:
            cut = pathlib.Path(folder, "cut.npz")
            np.savez(cut, experts=choices.astype(np.uint8), meta=json.dumps({"num_experts": 128}))
            before = [t - 1 for t in range(len(choices))]
            self.compare(self.report(cut), choices, before, 128, 0)


@unittest.skipIf(np is None, "no NumPy: tools/install_dependencies.sh puts it into .venv")
class NpzTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        random = np.random.default_rng(7)
        self.choices = np.argsort(random.random((40, 3, 16)), axis=2)[:, :, :4]
        self.probs = random.random((40, 3, 4))

    def path(self, name):
        return pathlib.Path(self.folder.name, name)

    def read(self, path):
        """What sluice reads, as (experts, weights or None), both [tokens, layers, top_k]."""
        out = self.path("out.jsonl")
        done = sluice("trace", "convert", path, out)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in out.read_text().splitlines()[1:]]
        rows = [row for row in rows if "type" not in row]
        shape = self.choices.shape
        weights = None
        if "w" in rows[0]:
            weights = np.array([row["w"] for row in rows], dtype=np.float32).reshape(shape)
        return np.array([row["e"] for row in rows]).reshape(shape), weights

    def test_every_type_both_layouts_stored_and_compressed(self):
        for save in (np.savez, np.savez_compressed):
            for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
                for layer_first in (False, True):
                    experts = self.choices.astype(kind)
                    if layer_first:
                        experts = np.ascontiguousarray(experts.swapaxes(0, 1))
                    save(self.path("t.npz"), experts=experts)
                    found, weights = self.read(self.path("t.npz"))
                    self.assertTrue((found == self.choices).all(), (kind, layer_first))
                    self.assertIsNone(weights)

    def test_probabilities_keep_every_bit(self):
        for kind in ("f2", "f4", "f8"):
            np.savez_compressed(self.path("t.npz"), experts=self.choices.astype("u1"),
                                probs=self.probs.astype(kind))
            _, weights = self.read(self.path("t.npz"))
            expected = self.probs.astype(kind).astype(np.float32)
            self.assertTrue((weights == expected).all(), kind)

    def test_meta(self):
        np.savez(self.path("t.npz"), experts=self.choices,
                 meta=json.dumps([{"offset": 0, "tokens": 15}, {"offset": 15, "tokens": 25}]))
        report = json.loads(sluice("trace", "stats", self.path("t.npz"), "--json").stdout)[0]
        self.assertEqual(report["conversations"], 2)
        square = np.argsort(np.random.default_rng(1).random((3, 3, 8)), axis=2)[:, :, :2]
        np.savez(self.path("s.npz"), experts=square, meta=json.dumps(
            {"model": "naïve ☃", "num_experts": 9, "n_moe_layers": 3, "top_k": 2}))
        report = json.loads(sluice("trace", "stats", self.path("s.npz"), "--json").stdout)[0]
        self.assertEqual(report["experts"], 9)

    def test_versions_of_the_header(self):
        for version in ((1, 0), (2, 0), (3, 0)):
            import io
            import zipfile
            array = io.BytesIO()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                np.lib.format.write_array(array, self.choices.astype("i4"), version=version)
            with zipfile.ZipFile(self.path("t.npz"), "w") as archive:
                archive.writestr("experts.npy", array.getvalue())
            found, _ = self.read(self.path("t.npz"))
            self.assertTrue((found == self.choices).all(), version)

    def refuse(self, words, **arrays):
        np.savez(self.path("bad.npz"), **arrays)
        done = sluice("trace", "stats", self.path("bad.npz"))
        self.assertEqual(done.returncode, 4, done.stderr)
        for word in ("bad.npz", *words):
            self.assertIn(word, done.stderr)

    def test_what_is_refused_is_named(self):
        experts = self.choices
        self.refuse(["'experts'"], routing=experts)
        self.refuse(["experts.npy", ">i4"], experts=experts.astype(">i4"))
        self.refuse(["experts.npy", "complex128", "c16"][:1] + ["c16"], experts=experts.astype("c16"))
        self.refuse(["experts.npy", "b1"], experts=experts > 3)
        self.refuse(["experts.npy", "integers"], experts=experts.astype("f4"))
        self.refuse(["experts.npy", "Fortran"], experts=np.asfortranarray(experts))
        self.refuse(["experts.npy", "records"], experts=np.zeros(3, dtype=[("a", "i4")]))
        self.refuse(["experts.npy", "2 dimensions"], experts=experts[0])
        self.refuse(["experts.npy", "token 5", "twice"],
                    experts=np.where(np.arange(40)[:, None, None] == 5, 1, experts))
        self.refuse(["experts.npy", "expert -1"],
                    experts=np.where(np.arange(40)[:, None, None] == 5, -1, experts))
        self.refuse(["experts.npy", "token 0", "expert"], experts=experts,
                    meta=json.dumps({"num_experts": 4}))
        self.refuse(["probs.npy"], experts=experts, probs=self.probs[:3])
        self.refuse(["meta.npy", "JSON"], experts=experts, meta="{")
        self.refuse(["meta.npy", "39"], experts=experts, meta=json.dumps([{"tokens": 39}]))

    def test_damaged_archives_are_errors(self):
        np.savez_compressed(self.path("t.npz"), experts=self.choices.astype("u1"))
        good = self.path("t.npz").read_bytes()
        for at in range(0, len(good), len(good) // 23):
            self.path("cut.npz").write_bytes(good[:at])
            done = sluice("trace", "stats", self.path("cut.npz"))
            self.assertEqual(done.returncode, 4, (at, done.stderr))


class Balance(html.parser.HTMLParser):
    VOID = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.figures, self.loads = [], 0, []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.figures += tag == "figure"
        self.loads += [value for key, value in attributes if key in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


class CommandTest(unittest.TestCase):
    def test_conversion_there_and_back(self):
        with tempfile.TemporaryDirectory() as folder:
            packed, text = pathlib.Path(folder, "t.sltr"), pathlib.Path(folder, "t.jsonl")
            self.assertEqual(sluice("trace", "convert", RILL, packed).returncode, 0)
            self.assertEqual(sluice("trace", "convert", packed, text).returncode, 0)
            self.assertLess(packed.stat().st_size, os.path.getsize(RILL) / 4)
            rows = [[line for line in map(json.loads, path.read_text().splitlines()[1:])
                     if "type" not in line] for path in (pathlib.Path(RILL), text)]
            self.assertEqual(len(rows[0]), len(rows[1]))
            for a, b in zip(*rows):
                self.assertEqual((a["r"], a["t"], a["l"], a["e"]), (b["r"], b["t"], b["l"], b["e"]))
                for x, y in zip(a["w"], b["w"]):  # both name the same float32
                    self.assertAlmostEqual(x, y, delta=abs(x) * 1e-7)

    def test_a_run_is_converted_to_itself(self):
        with tempfile.TemporaryDirectory() as folder:
            run, copy = pathlib.Path(folder, "run.jsonl"), pathlib.Path(folder, "copy.jsonl")
            packed = pathlib.Path(folder, "run.sltr")
            self.assertEqual(sluice("run", "-p", "sort: 3 1 2 =", "-p", "a", "-n", 6, "--trace",
                                    run).returncode, 0)
            sluice("trace", "convert", run, packed)
            sluice("trace", "convert", packed, copy)
            self.assertEqual(run.read_bytes(), copy.read_bytes())

    def test_the_table(self):
        done = sluice("trace", "stats", RILL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"300 tokens", done.stdout)
        self.assertIn(b"   all ", done.stdout)

    def test_the_page_is_whole_and_loads_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder, "report.html")
            done = sluice("trace", "plot", RILL, "-o", page)
            self.assertEqual(done.returncode, 0, done.stderr)
            balance = Balance()
            balance.feed(page.read_text())
        self.assertEqual(balance.open, [])
        self.assertEqual(balance.loads, [])
        self.assertGreaterEqual(balance.figures, 9)

    def test_errors(self):
        for arguments, code, word in (
                (("stats", "/no/such/trace"), 4, "/no/such/trace"),
                (("stats", "LICENSE"), 4, "known format"),
                (("convert", RILL, "/tmp/x.unknown"), 2, ".sltr"),
                (("convert", RILL, "/no/such/folder/t.sltr"), 1, "/no/such/folder"),
                (("convert", RILL, "x.sltr", "--from", "csv"), 2, "csv"),
                (("plot", RILL), 2, "--output"),
                ((), 2, "subcommand")):
            done = sluice("trace", *arguments)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
