#!/usr/bin/env python3
"""Seeds for policy_fuzz: the policies that ship, and those of the tests."""
import pathlib
import shutil
import sys

for folder in ("policies", "tests/policies"):
    for path in sorted(pathlib.Path(folder).glob("*.moe")):
        shutil.copy(path, pathlib.Path(sys.argv[1], path.name))
