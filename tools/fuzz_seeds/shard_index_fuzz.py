#!/usr/bin/env python3
"""Seeds for the fuzzer of model.safetensors.index.json.

    tools/fuzz_seeds/shard_index_fuzz.py DIRECTORY
"""
import json
import pathlib
import sys

SEEDS = {
    "one": {"metadata": {"total_size": 4}, "weight_map": {"a": "m.safetensors"}},
    "two": {"weight_map": {"a": "m.safetensors", "b": "n.safetensors"}},
    "outside": {"weight_map": {"a": "../m.safetensors"}},
    "empty": {"weight_map": {}},
}

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for name, seed in SEEDS.items():
    (out / name).write_text(json.dumps(seed))
