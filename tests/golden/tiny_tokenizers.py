"""Tiny tokenizers for the checkpoints of make_checkpoints.py: GGUF metadata and tokenizer.json.

Qwen3-MoE and OLMoE get byte-level BPE, Mixtral SentencePiece's BPE with byte fallback. Both forms
of one tokenizer give the same ids. `m` is a make_checkpoints.Model throughout.
"""

import gguf

# Merged first to last; each word is built letter by letter, then with a space before it.
WORDS = (
    "the and of to in is it expert token cache router layer model weight slow fast disk "
    "memory answer world hello read one two"
).split()

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def special_ids(m):
    if m.family == "qwen3moe":  # as Qwen: specials last, more embedding rows than tokens
        return {"bos": 313, "eos": 315, "pad": 313}
    if m.family == "olmoe":
        return {"bos": None, "eos": 0, "pad": 1}
    return {"bos": 1, "eos": 2, "pad": None}


def merges_of(space, count):
    """The first `count` merges [left, right] that build WORDS."""
    merges, known = [], set()
    for word in WORDS:
        steps = [(word[:i], word[i]) for i in range(1, len(word))] + [(space, word)]
        for left, right in steps:
            if left + right not in known:
                known.add(left + right)
                merges.append([left, right])
    assert len(merges) >= count, len(merges)
    return merges[:count]


def byte_symbols():
    """GPT-2's printable stand-in for each byte, in GPT-2's vocabulary order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def byte_level_vocabulary(m):
    """-> (tokens, merges, special tokens by id)."""
    if m.family == "qwen3moe":
        merges = merges_of("Ġ", 313 - 256)
        specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        tokens = byte_symbols() + ["".join(p) for p in merges] + specials
        return tokens, merges, {313 + i: s for i, s in enumerate(specials)}
    merges = merges_of("Ġ", 320 - 258)
    specials = ["<|endoftext|>", "<|padding|>"]
    tokens = specials + byte_symbols() + ["".join(p) for p in merges]
    return tokens, merges, dict(enumerate(specials))


def spm_vocabulary(m):
    """-> (pieces, scores, token types): specials, bytes, merged pieces, then single characters."""
    characters = list("▁etaonisrhldcmuwfpykvbgxjqzETAM0123456789.,!?'-:é")
    merged = ["".join(p) for p in merges_of("▁", m.vocab - 259 - len(characters))]
    tt = gguf.TokenType
    pieces = [("<unk>", 0.0, tt.UNKNOWN), ("<s>", 0.0, tt.CONTROL), ("</s>", 0.0, tt.CONTROL)]
    pieces += [(f"<0x{b:02X}>", 0.0, tt.BYTE) for b in range(256)]
    pieces += [(p, -float(i), tt.NORMAL) for i, p in enumerate(merged + characters)]
    assert len(pieces) == m.vocab, len(pieces)
    return [list(column) for column in zip(*pieces)]


def add_tokenizer_metadata(w, m, old_style):
    if m.family == "mixtral":
        pieces, scores, types = spm_vocabulary(m)
        w.add_tokenizer_model("llama")
        if not old_style:
            w.add_tokenizer_pre("default")
        w.add_token_list(pieces)
        w.add_token_scores(scores)
        w.add_token_types(types)
        w.add_unk_token_id(0)
    else:
        tokens, merges, specials = byte_level_vocabulary(m)
        tt = gguf.TokenType
        types = [tt.CONTROL if i in specials else tt.NORMAL for i in range(len(tokens))]
        padding = m.vocab - len(tokens)
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("qwen2" if m.family == "qwen3moe" else "olmo")
        w.add_token_list(tokens + [f"[PAD{len(tokens) + i}]" for i in range(padding)])
        w.add_token_types(types + [tt.UNUSED] * padding)
        w.add_token_merges([" ".join(p) for p in merges])
    ids = special_ids(m)
    if ids["bos"] is not None:
        w.add_bos_token_id(ids["bos"])
    w.add_eos_token_id(ids["eos"])
    if ids["pad"] is not None:
        w.add_pad_token_id(ids["pad"])
    w.add_add_bos_token(m.family == "mixtral")
    w.add_add_eos_token(False)
    if m.family == "qwen3moe":
        w.add_chat_template(CHATML)


def added_tokens(specials):
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    return [
        {"id": i, "content": s, **flags, "normalized": False, "special": True}
        for i, s in specials.items()
    ]


def hf_tokenizer(m):
    empty = {"version": "1.0", "truncation": None, "padding": None}
    bpe = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }
    if m.family == "mixtral":
        return empty | hf_spm_tokenizer(m, bpe)
    tokens, merges, specials = byte_level_vocabulary(m)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    if m.family == "qwen3moe":
        split = {"type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated"}
        steps = [split | {"invert": False}, level | {"use_regex": False}]
        pre = {"type": "Sequence", "pretokenizers": steps}
    else:
        pre = level | {"use_regex": True}
        merges = [" ".join(p) for p in merges]  # the older way to write them
    vocabulary = {t: i for i, t in enumerate(tokens) if i not in specials}
    if m.family == "olmoe":
        vocabulary = {t: i for i, t in enumerate(tokens)}
    return empty | {
        "added_tokens": added_tokens(specials),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": pre,
        "post_processor": level | {"use_regex": True},
        "decoder": level | {"use_regex": True},
        "model": bpe | {"vocab": vocabulary, "merges": merges},
    }


def hf_spm_tokenizer(m, bpe):
    """The SPM vocabulary as BPE with byte fallback, as Transformers converts it."""
    pieces, _, types = spm_vocabulary(m)
    ids = {p: i for i, p in enumerate(pieces)}
    merges = []
    for piece, kind in zip(pieces, types):  # in order of score
        if kind == gguf.TokenType.NORMAL and len(piece) > 1:
            cuts = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
            cuts = [c for c in cuts if c[0] in ids and c[1] in ids]
            merges += [" ".join(c) for c in sorted(cuts, key=lambda c: (ids[c[0]], ids[c[1]]))]
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    a, b = ({"Sequence": {"id": s, "type_id": i}} for i, s in enumerate("AB"))
    return {
        "added_tokens": added_tokens({0: "<unk>", 1: "<s>", 2: "</s>"}),
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, a],
            "pair": [bos, a, {"SpecialToken": {"id": "<s>", "type_id": 1}}, b],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": bpe
        | {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
        | {"vocab": ids, "merges": merges},
    }


def hf_tokenizer_config(m):
    common = {"clean_up_tokenization_spaces": False, "model_max_length": m.context}
    if m.family == "qwen3moe":
        return common | {
            "add_bos_token": False,
            "bos_token": None,
            "chat_template": CHATML,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        }
    if m.family == "olmoe":
        return common | {
            "bos_token": None,
            "eos_token": "<|endoftext|>",
            "pad_token": "<|padding|>",
            "tokenizer_class": "GPTNeoXTokenizer",
            "unk_token": None,
        }
    return common | {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "legacy": False,
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
