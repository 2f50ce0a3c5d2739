"""`sluice profile`: a short one, what it prints and what it keeps."""
import json
import os
import pathlib
import tempfile
import unittest

from sluice_process import sluice


class ProfileTest(unittest.TestCase):
    def test_prints_and_keeps_the_same_profile(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "profile.json")
            done = sluice("profile", "--no-disk", "--json", "-t", "2", "-o", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr, "")
            profile = json.loads(done.stdout)
            self.assertEqual(profile, json.loads(path.read_text()))
            self.assertEqual(profile["threads"], 2)
            self.assertEqual(profile["disk"], [])
            names = [line.split(": ", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                     if line.startswith("model name")]
            self.assertEqual(profile["cpu"], names[0])
            for name in ("memory_huge_one", "memory_huge_all", "memory_small_one", "memory_small_all"):
                self.assertGreater(profile[name]["best"], 0)

    def test_refuses_a_file_that_is_too_small_or_not_there(self):
        done = sluice("profile", "--file", "README.md", "-o", os.devnull)
        self.assertEqual(done.returncode, 2)
        self.assertIn("README.md", done.stderr)
        self.assertEqual(sluice("profile", "--file", "/no/such/file", "-o", os.devnull).returncode, 4)


if __name__ == "__main__":
    unittest.main()
