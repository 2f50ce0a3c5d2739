#!/usr/bin/env python3
"""Seeds for the fuzzer of tokenizer.json: the tokenizers that the tests trained.

    tools/fuzz_seeds/tokenizer_json_fuzz.py DIRECTORY
"""
import json
import pathlib
import sys

KEPT = 300  # merges: enough to reach every part of the reader, few enough to try many


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    trained = pathlib.Path(__file__).parents[2] / "tests" / "tokenizer"
    for path in sorted(trained.glob("*.tokenizer.json")):
        tokenizer = json.loads(path.read_text())
        merges = tokenizer["model"].get("merges")
        if merges is not None:
            tokenizer["model"]["merges"] = merges[:KEPT]
        (out / path.name).write_text(json.dumps(tokenizer, ensure_ascii=False))


if __name__ == "__main__":
    main()
