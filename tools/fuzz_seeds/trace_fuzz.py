#!/usr/bin/env python3
"""Seeds for the fuzzer of traces: a small valid trace of every format.

    tools/fuzz_seeds/trace_fuzz.py DIRECTORY
"""
import io
import json
import pathlib
import struct
import sys
import zipfile

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

LAYERS, EXPERTS, TOKENS = 2, 4, 3


def lines(*objects):
    return "".join(json.dumps(o, separators=(",", ":")) + "\n" for o in objects).encode()


def rows(extra):
    for t in range(TOKENS):
        for l in range(LAYERS):
            yield extra(t, l, [(t + l) % EXPERTS, (t + l + 1) % EXPERTS], [0.75, 0.25])


META = {"type": "meta", "version": 1, "model": "m", "architecture": "a", "layers": LAYERS,
        "experts": EXPERTS, "top_k": 2, "dtype": "f32", "seed": 0}
MORE = {"policy": "lru", "slots": 4, "staging": 1, "expert_bytes": 10, "link_bytes_per_call": 0.5}
CLOCK = {"seconds": 0.5, "stall_ms": 1, "tokens_per_second": 2, "slow_mbps": 3, "queue_depth": 0,
         "free_memory_bytes": 1e9}


def ours(t, l, e, w):
    return {"r": 0, "t": t, "l": l, "e": e, "w": w}


(out / "v1.jsonl").write_bytes(lines(META, *rows(ours)))
second = [META | {"version": 2} | MORE]
for row in rows(ours):
    if row["l"] == 0:
        second.append({"type": "step", "tokens": 1} | ({"clock": CLOCK} if row["t"] else {}))
        second.append({"type": "gate", "l": 0, "of": 1, "e": [3, 0], "p": [0.5, 0.25]})
    second.append(row)
(out / "v2.jsonl").write_bytes(lines(*second))
(out / "mpl.jsonl").write_bytes(lines(
    {"model_name": "m", "num_layers": LAYERS, "num_experts": EXPERTS, "top_k": 2},
    *rows(lambda t, l, e, w: {"c": 0, "t": t, "l": l, "e": e, "s": w})))
(out / "vllm.jsonl").write_bytes(lines(
    {"type": "meta", "model_id": "m", "layers_logged": [0, 5], "top_k": 2, "seed": 1},
    *rows(lambda t, l, e, w: {"type": "route", "req_id": "a", "token_idx": t, "layer": 5 * l,
                              "topk_ids": e, "topk_weights": w})))


def npy(kind, shape, content):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


archive = io.BytesIO()
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
    table = list(rows(lambda t, l, e, w: (e, w)))
    z.writestr("experts.npy", npy("|u1", (TOKENS, LAYERS, 2), bytes(x for e, _ in table for x in e)))
    z.writestr("probs.npy", npy("<f4", (TOKENS, LAYERS, 2),
                                b"".join(struct.pack("<2f", *w) for _, w in table)))
    note = json.dumps([{"tokens": TOKENS, "offset": 0}])
    z.writestr("meta.npy", npy(f"<U{len(note)}", (), note.encode("utf-32-le")))
(out / "arrays.npz").write_bytes(archive.getvalue())
