"""`sluice policy` as people use it: what is printed, exit codes, files."""
import json
import os
import pathlib
import re
import tempfile
import unittest

from sluice_process import sluice

POLICIES = sorted(pathlib.Path("policies").glob("*.moe"))
TESTS = pathlib.Path("tests/policies")


def out(done):
    return done.stdout.decode("utf-8")


class CheckTest(unittest.TestCase):
    def test_good_files_of_both_languages(self):
        done = sluice("policy", "check", TESTS / "everything_old.moe", TESTS / "everything_new.moe")
        self.assertEqual(done.returncode, 0, out(done))
        self.assertIn("everything_old.moe: 2 policies, 0 errors", out(done))
        self.assertEqual(done.stderr, "")

    def test_all_errors_at_once_with_place_code_caret_and_remedy(self):
        path = TESTS / "broken.moe"
        done = sluice("policy", "check", path)
        self.assertEqual(done.returncode, 1)
        text = out(done)
        for code in ("E101", "E201", "E202", "E207", "E208", "E301", "E805"):
            self.assertIn(f"error {code}: ", text)
        lines = path.read_text().splitlines()
        places = re.findall(r"^\S+broken\.moe:(\d+):(\d+): error", text, re.M)
        self.assertGreater(len(places), 8)
        self.assertEqual(places, sorted(places, key=lambda p: (int(p[0]), int(p[1]))))
        line = next(i for i, text in enumerate(lines, 1) if "lur" in text)
        column = lines[line - 1].index("lur") + 1
        self.assertIn(f"{path}:{line}:{column}: error E201: unknown eviction 'lur'\n"
                      f"    {lines[line - 1]}\n"
                      f"    {' ' * (column - 1)}^~~\n"
                      f"    did you mean lru?\n", text)

    def test_json(self):
        done = sluice("policy", "check", "--json", TESTS / "broken.moe", "lru")
        self.assertEqual(done.returncode, 1)
        found = json.loads(done.stdout)
        self.assertTrue(all(f["severity"] in ("error", "warning") for f in found))
        lur = next(f for f in found if f["code"] == "E201" and "lur" in f["message"])
        self.assertEqual((lur["length"], lur["remedy"]), (3, "did you mean lru?"))
        self.assertEqual(json.loads(sluice("policy", "check", "--json", "lru").stdout), [])
        # Bytes that are no UTF-8 still make JSON.
        done = sluice("policy", "check", "--json", "-", stdin=b"policy \xff\xfe {")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)[0]["code"], "E101")

    def test_against_a_model(self):
        text = b"policy a { cache { capacity = 33 } }"
        self.assertEqual(sluice("policy", "check", "-", stdin=text).returncode, 0)
        done = sluice("policy", "check", "-", "--model", "rill", stdin=text)  # 32 experts a layer
        self.assertEqual(done.returncode, 1)
        self.assertIn("E301", out(done))
        done = sluice("policy", "check", "lru", "-m", "/no/such/model.gguf")
        self.assertEqual(done.returncode, 4)

    def test_replay_may_use_belady(self):
        text = b"policy a { cache { capacity = 8 eviction = belady } }"
        self.assertIn("E312", out(sluice("policy", "check", "-", stdin=text)))
        self.assertEqual(sluice("policy", "check", "--replay", "-", stdin=text).returncode, 0)

    def test_what_is_no_policy(self):
        done = sluice("policy", "check", "lur")
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean lru?", done.stderr)
        self.assertEqual(sluice("policy", "check", "tests").returncode, 2)
        self.assertEqual(sluice("policy", "check").returncode, 2)
        self.assertEqual(sluice("policy").returncode, 2)
        big = sluice("policy", "check", "-", stdin=b"#" * (2 << 20))
        self.assertEqual(big.returncode, 1)
        self.assertIn("E103", out(big))


class FormatTest(unittest.TestCase):
    def test_shipped_policies_are_canonical(self):
        done = sluice("policy", "fmt", "--check", *POLICIES)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_in_place_keeps_meaning_and_comments(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("everything_old", "everything_new"):
                path = pathlib.Path(folder, name + ".moe")
                original = (TESTS / path.name).read_text()
                path.write_text(original)
                shown = [dict(p, parameters=[dict(r, line=0) for r in p["parameters"]])
                         for p in json.loads(sluice("policy", "show", "--json", path).stdout)]
                self.assertEqual(sluice("policy", "fmt", "--check", path).returncode, 1)
                self.assertEqual(sluice("policy", "fmt", "-i", path).returncode, 0)
                formatted = path.read_text()
                self.assertNotEqual(formatted, original)
                self.assertEqual(out(sluice("policy", "fmt", path)), formatted)
                self.assertEqual(sluice("policy", "fmt", "--check", path).returncode, 0)
                self.assertEqual(re.findall("#.*", formatted), re.findall("#.*", original))
                again = [dict(p, parameters=[dict(r, line=0) for r in p["parameters"]])
                         for p in json.loads(sluice("policy", "show", "--json", path).stdout)]
                self.assertEqual(again, shown)

    def test_errors(self):
        done = sluice("policy", "fmt", TESTS / "broken.moe")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn("broken.moe", done.stderr)
        self.assertEqual(sluice("policy", "fmt", "-i", "-", stdin=b"policy a{}").returncode, 2)


class DescribeTest(unittest.TestCase):
    def test_list_show_and_explain_everything_that_ships(self):
        listed = json.loads(sluice("policy", "list", "--json").stdout)
        names = {policy["name"] for policy in listed}
        self.assertEqual(names, {path.stem for path in POLICIES})
        for policy in listed:
            self.assertEqual(policy["source"], pathlib.Path("policies", policy["name"] + ".moe").read_text())
            self.assertIn(policy["name"], out(sluice("policy", "list")))
        done = sluice("policy", "explain", *sorted(names), "--model", "rill")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(out(done).count("Policy "), len(names))
        self.assertEqual(out(done).count("LOSSY"), 2)  # sida and moe_mpmc
        checked = sluice("policy", "check", *sorted(names), "--model", "rill")
        self.assertEqual(checked.returncode, 0, out(checked))

    def test_show_says_where_values_come_from(self):
        done = sluice("policy", "show", "--json", str(TESTS / "everything_new.moe") + ":derived")
        (shown,) = json.loads(done.stdout)
        rows = {row["parameter"]: row for row in shown["parameters"]}
        self.assertEqual((rows["cache.capacity"]["value"], rows["cache.capacity"]["from"]),
                         ("16", "written"))
        self.assertEqual((rows["cache.eviction"]["value"], rows["cache.eviction"]["from"],
                          rows["cache.eviction"]["policy"]), ("slru | sieve", "inherited", "base"))
        self.assertEqual(rows["prefetch.decode.match"]["from"], "default")
        # The printed source is the same policy.
        again = json.loads(sluice("policy", "show", "--json", "-",
                                  stdin=shown["source"].encode()).stdout)[0]
        values = {row["parameter"]: row["value"] for row in again["parameters"]}
        self.assertEqual(values, {key: row["value"] for key, row in rows.items()})
        self.assertIn("from base, line", out(sluice("policy", "show", str(TESTS / "everything_new.moe"))))

    def test_explain_gives_numbers(self):
        text = b"policy a { cache { capacity = 50% } }"
        done = sluice("policy", "explain", "-", "-m", "rill", "--read-speed", "1GB", stdin=text)
        self.assertIn("16 of 32 per layer", out(done))
        model = json.loads(sluice("inspect", "--json").stdout)
        self.assertIn(f"A token uses {model['layers'] * model['top_k']} of "
                      f"{model['layers'] * model['experts']} experts", " ".join(out(done).split()))
        self.assertEqual(sluice("policy", "explain", "lru", "--read-speed", "fast").returncode, 2)

    def test_a_policy_with_errors_is_not_described(self):
        done = sluice("policy", "show", TESTS / "broken.moe")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn("E201", done.stderr)

    def test_help(self):
        for command in ("check", "fmt", "explain", "show", "list"):
            self.assertIn(b"Example", sluice("policy", command, "--help").stdout)



class AutoProfileTest(unittest.TestCase):
    def test_auto_takes_the_profile_of_the_disk_that_holds_the_model(self):
        model = pathlib.Path("models/rill/rill-q8_0.gguf")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "sluice", "profile.json")
            done = sluice("profile", "--no-disk", "--json", "-o", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            profile = json.loads(done.stdout)
            device = model.stat().st_dev
            profile["disk_device"] = f"{os.major(device)}:{os.minor(device)}"
            profile["disk_sustained"] = 123.45e9
            path.write_text(json.dumps(profile))
            before = os.environ.get("XDG_CACHE_HOME")
            os.environ["XDG_CACHE_HOME"] = folder
            try:
                text = out(sluice("policy", "auto", "-m", model))
                self.assertIn("experts read at 123.45 GB/s", text)
                self.assertNotIn("123.45", out(sluice("policy", "auto", "-m", model, "--probe-seconds", "0.1")))
                self.assertNotIn("123.45", out(sluice("policy", "auto")))  # inside the program
                profile["disk_device"] = "0:0"
                path.write_text(json.dumps(profile))
                self.assertNotIn("123.45", out(sluice("policy", "auto", "-m", model)))
            finally:
                if before is None:
                    del os.environ["XDG_CACHE_HOME"]
                else:
                    os.environ["XDG_CACHE_HOME"] = before


if __name__ == "__main__":
    unittest.main()
