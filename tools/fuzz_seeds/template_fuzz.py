#!/usr/bin/env python3
"""Seeds for template_fuzz: the templates of tests/golden/templates.json, long and short."""
import json
import pathlib
import sys

golden = json.loads(pathlib.Path("tests/golden/templates.json").read_text(encoding="utf-8"))
sources = golden["templates"] + [case[0] for case in golden["cases"] if isinstance(case[0], str)]
for number, source in enumerate(sources):
    pathlib.Path(sys.argv[1], f"golden-{number}").write_text(source, encoding="utf-8", newline="")
