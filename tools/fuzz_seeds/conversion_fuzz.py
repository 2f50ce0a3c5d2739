#!/usr/bin/env python3
"""Seeds for the fuzzer of conversions: the smallest directories, in floats and in every packing, and GGUF files.

    tools/fuzz_seeds/conversion_fuzz.py DIRECTORY
"""
import json
import pathlib
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).parents[2] / "tests" / "golden"))
import gguf_model_fuzz
import make_checkpoints
import pack_checkpoints
from more_families import GptOss, Qwen2Moe, Qwen3
from random_weights import normal

SMALL = {"layers": 1, "hidden": 32, "ff": 32, "dense_ff": 32, "heads": 1, "kv_heads": 1, "vocab": 8, "context": 64}
QWEN3 = Qwen3("qwen3", "qwen3", "qwen3", "Qwen3ForCausalLM", tied=True, **SMALL)
QWEN2_MOE = Qwen2Moe("qwen2moe", "qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", experts=2, top_k=1, shared_ff=32,
                     **SMALL)
GPT_OSS = GptOss("gpt-oss", "gpt-oss", "gpt_oss", "GptOssForCausalLM", experts=2, top_k=1, **SMALL)
PACKED = {"fp8": QWEN3, "fp8-channel": QWEN2_MOE, "gptq": QWEN2_MOE, "gptq-act": QWEN3, "awq": QWEN3, "mxfp4": GPT_OSS}


def write_directory(path, model):
    path.mkdir()
    weights = {name: normal(name, *spec) for name, spec in model.tensor_specs().items()}
    make_checkpoints.write_safetensors(path / "model.safetensors", model.hf_tensors(weights), "float32")
    config = model.hf_config() | {"model_type": model.model_type, "tie_word_embeddings": model.tied,
                                  "vocab_size": model.vocab}
    (path / "config.json").write_text(json.dumps(config))


def as_input(path):
    return (path / "config.json").read_bytes() + b"\0" + (path / "model.safetensors").read_bytes()


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    inputs = dict(gguf_model_fuzz.models())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for model in (QWEN3, QWEN2_MOE, GPT_OSS):
            write_directory(folder / model.name, model)
        inputs["floats"] = as_input(folder / QWEN2_MOE.name)
        for kind, model in PACKED.items():
            pack_checkpoints.pack(kind, folder / model.name, folder / kind)
            inputs[kind] = as_input(folder / kind)
    for i, (name, content) in enumerate(sorted(inputs.items())):
        (out / name).write_bytes(bytes([i]) + content)  # the type that it is converted to


if __name__ == "__main__":
    main()
