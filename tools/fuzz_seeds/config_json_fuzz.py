#!/usr/bin/env python3
"""Seeds for the fuzzer of config.json: that of every small checkpoint of the tests.

    tools/fuzz_seeds/config_json_fuzz.py DIRECTORY
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "golden"))
import make_checkpoints  # noqa: E402  (needs NumPy and gguf: .venv has them)
import more_families  # noqa: E402


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    configs = {f"{m.name}-{style}": make_checkpoints.hf_config(m, "float32", style == "new")
               for m in make_checkpoints.MODELS for style in ("new", "old")}
    configs |= {m.name: m.hf_config() for m in more_families.FAMILIES}
    for name, config in configs.items():
        (out / name).write_text(json.dumps(config))


if __name__ == "__main__":
    main()
