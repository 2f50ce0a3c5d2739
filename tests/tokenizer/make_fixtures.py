#!/usr/bin/env python3
"""Makes the fixtures beside this file: small tokenizers, difficult texts, and the ids of witnesses.

The witnesses are the packages `tokenizers` (made with 0.23) and `sentencepiece` (made with 0.2). All
text is made up here, from a seed. src/tokenizer/witness_test.cc reproduces every line of the result.

  pip install tokenizers sentencepiece && python3 tests/tokenizer/make_fixtures.py [NAME...]
  python3 tests/tokenizer/make_fixtures.py --check      asks again about what is committed; without
                                                        `sentencepiece`, the package `tokenizers` alone

NAME.tokenizer.json   a tokenizer as the package saves it
NAME.gguf.json        a SentencePiece model as a GGUF file would list it; `charsmap` in base64
NAME.lines.json       [{text, ids, plain, decoded}]: `ids` with special tokens found in the text,
                      `plain` without (absent where equal), `decoded` from `ids` without special
                      tokens (absent where equal to the text, null where not to be compared)
"""
import base64
import io
import json
import pathlib
import random
import sys
import tempfile

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

HERE = pathlib.Path(__file__).resolve().parent
VOCABULARY = 640

GPT2 = None  # ByteLevel's own
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDING}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDING}|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# DeepSeek's steps with a shorter list of letters; the whole list is tested against PCRE2.
DEEPSEEK = ["[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺΑ-ΡΣ-ωА-я]+", "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$",
            "[一-龥ࠀ-一가-\ud7ff]+"]

LATIN = ["the", "expert", "router", "Token", "cache", "HELLO", "I've", "they'll", "don't", "We'RE", "it's",
         "naïve", "Führer", "Ärger", "coördinate", "ﬁne", "ŉ", "ĳ", "straße", "STRASSE"]
OTHER = ["привет", "мир", "Български", "ελληνικά", "שלום", "مرحبا", "नमस्ते", "ก้าว", "កាន់តែ", "한국어", "일본", "日本語",
         "工作", "漢字", "ひらがな", "カタカナ", "Việt", "Cửa", "ǅungla", "ʰaspirated", "ªº", "Ⅷ", "²³", "½", "٣٤", "५६"]
MARKS = ["e\u0301", "a\u030a\u0323", "a\u0323\u030a", "q\u0307\u0323", "\u1100\u1161\u11a8", "\u212b", "\u2126",
         "\u0301alone", "\ufb1d", "\u0958", "n\u0303o", "\uac00\u11a8"]
SYMBOLS = ["!", "...", "?!", "--", "=>", "&&", "{}", "[0]", "\"quoted\"", "'single'", "``", "€5", "£", "😀", "🤷🏽‍♀️", "👨‍👩‍👧",
           "→", "∑", "„“", "。", "、", "，", "～", "\u200b", "\u00ad", "\ufeff", "\u2581", "_", "a_b", "\u0000", "\u007f", "\ufffd"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\x85", " \t \n  ",
          "\u2003 ", "        "]
NUMBERS = ["0", "7", "42", "333", "1234", "3.14159", "1,000,000", "2024-05-01", "0x1F"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<tool_call>", "<mask>", "<word>", "<s>", "</s>", "<unk>", "\u01fark", "A\u030a\u0301rk",
           "<|im_", "<|im_start|><|im_end|>", "  <mask>  ", "a<word>b", " <word> ", "<0x41>"]

DIFFICULT = [
    "", " ", "  ", "   ", "\n", "\n\n\n", " \n", "\t\t", "a", " a", "a ", "  a  ", "\na", "a\n", "\r\n\r\na", "   \n   x",
    "'s", "'S", "'\u017f", "x'\u017fy", "''s", "' s", "'Ll", "'lL'", "it's'RE", "'ve've", "don\u2019t", "1's2",
    "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～", "3 33 333 3333 33333", "a1b22c333d4444", "ABCdefGHI", "iPhoneXRmax",
    "camelCaseHTTPServer", "ǅǅa", "ʰʰAʰB", "日A本a語", "日本語ABC日本", "e\u0301\u0301E\u0301", " \u0301a", "\u0301\u0301", "A\u0301B",
    "a\u0323\u030a", "\u1e69 s\u0323\u0307 s\u0307\u0323 \u1e0b\u0323", "\u1100\u1161\u11a8\u11a8", "//\n//\n", "a/b//c/\n/d", "  //\n\n",
    "\u3000。\u3000a", "\u3000\u3000x", "a\u3000b", "!\u3000!", "“quoted” ‘single’", "～～a～", "\u2581", "\u2581a \u2581", "a\u2581\u2581b",
    "\U00010400\U00010428", "𝐀𝐛", "\U0010ffff", "\ue000", "\u0378", "a" * 300, " " * 70 + "x", "ab" * 120, "\n" * 40, "1" * 50,
    "😀" * 20, "e\u0301" * 50, "\u0323\u0301" * 40,
]


def texts(seed: int, count: int) -> list[str]:
    """Difficult texts: the fixed ones, then random rows of words from every group above."""
    rng = random.Random(seed)
    groups = [LATIN, LATIN, OTHER, OTHER, MARKS, SYMBOLS, SYMBOLS, SPACES, SPACES, SPACES, NUMBERS, SPECIAL]
    rows = []
    for _ in range(count):
        row = "".join(rng.choice(rng.choice(groups)) for _ in range(rng.randint(1, 12)))
        rows.append(row)
    return DIFFICULT + rows


def corpus(seed: int, other: list[str]) -> list[str]:
    """Sentences to train on: a skewed choice of words, so that merges are worth it."""
    rng = random.Random(seed)
    words = LATIN + other + NUMBERS + ["".join(rng.choice("aeiou" if i % 2 else "bcdfglmnprst") for i in range(rng.randint(2, 8)))
                                       for _ in range(150)]
    weights = [1 / (1 + i % 40) for i in range(len(words))]
    ends = [".", "!", "?", "...", "\n", " 😀", "。"]
    return [" ".join(rng.choices(words, weights, k=rng.randint(3, 12))) + rng.choice(ends) for _ in range(800)]


def added_tokens() -> list[AddedToken]:
    return [
        AddedToken("<|im_start|>", special=True, normalized=False),
        AddedToken("<|im_end|>", special=True, normalized=False),
        AddedToken("<tool_call>", special=False, normalized=False),
        AddedToken("<mask>", special=True, normalized=False, lstrip=True, rstrip=True),
        AddedToken("<word>", special=False, normalized=False, single_word=True),
        # Not of the alphabet in which ByteLevel spells bytes: the package decodes those as bytes.
        AddedToken("\u01fark", special=False, normalized=True),
    ]


def write(path: str, value) -> None:
    (HERE / path).write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n")


def lines_of(tokenizer: Tokenizer, rows: list[str]) -> list[dict]:
    # In a unigram model the package lets text spell control pieces, as SentencePiece and we do not: no witness of that.
    unheard = CONTROL if isinstance(tokenizer.model, models.Unigram) else []
    lines = []
    for text in rows:
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        line = {"text": text, "ids": ids}
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        if plain != ids and not any(piece in text for piece in unheard):
            line["plain"] = plain
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        if decoded != text:
            line["decoded"] = decoded
        lines.append(line)
    return lines


def save(name: str, tokenizer: Tokenizer, seed: int, edit=lambda root: None, count: int = 150) -> None:
    root = json.loads(tokenizer.to_str())
    edit(root)
    write(f"{name}.tokenizer.json", root)
    tokenizer = Tokenizer.from_str(json.dumps(root))
    rows = texts(seed, count)
    if isinstance(tokenizer.model, models.Unigram):  # text may spell byte pieces there, and not here
        rows = [text for text in rows if "<0x" not in text]
    write(f"{name}.lines.json", lines_of(tokenizer, rows))


def byte_level(name: str, seed: int, splits, normalizer=None, digits=False, pairs=True) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    if splits is GPT2:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splits]
        if digits:
            steps.append(pre_tokenizers.Digits(individual_digits=True))
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(seed, OTHER), trainer)
    tokenizer.add_tokens(added_tokens())

    def edit(root):
        if not pairs:  # the older spelling
            root["model"]["merges"] = [" ".join(pair) for pair in root["model"]["merges"]]

    save(name, tokenizer, seed + 100, edit)


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
DECODER = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def with_byte_tokens(name: str, seed: int, tokenizer: Tokenizer) -> None:
    """Characters, and byte tokens for the others: Llama's and Mixtral's form of tokenizer.json."""
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY + 256, special_tokens=["<unk>", "<s>", "</s>"] + BYTES,
                                  show_progress=False)
    tokenizer.train_from_iterator(corpus(seed, OTHER[:8]), trainer)
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])

    def edit(root):
        root["added_tokens"] = [token for token in root["added_tokens"] if token["content"] not in BYTES]

    save(name, tokenizer, seed + 100, edit)


def metaspace(name: str, seed: int, scheme: str, split: bool) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    tokenizer.decoder = DECODER
    with_byte_tokens(name, seed, tokenizer)


def prepend(name: str, seed: int) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = DECODER
    with_byte_tokens(name, seed, tokenizer)


CONTROL = ["<pad>", "<s>", "</s>", "<unk>"]


def unigram(name: str, seed: int, pre_tokenizer, normalizer=None, byte_tokens=False) -> None:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = DECODER
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(corpus(seed, OTHER[:12]), trainer)
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])

    def edit(root):
        if byte_tokens:
            root["model"]["vocab"] += [[piece, 0.0] for piece in BYTES]
            root["model"]["byte_fallback"] = True
            root["added_tokens"][-1]["id"] += len(BYTES)

    save(name, tokenizer, seed + 100, edit, count=80)


# What a table of SentencePiece's may say, in the fewest entries: one character, several, none, and a
# character that becomes several.
RULES = {"\ufb01": "fi", "ǅ": "DŽ", "²": "2", "½": "1⁄2", "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\u200b": "", "\u00ad": "",
         "e\u0301": "é", "a\u030a": "å", "A\u030a": "Å", "=>": "⇒", "ａ": "a", "～": "~", "ａ\u0301": "á", "\u2126": "Ω", "\u0301": ""}


def sentence_piece_model(seed: int, **options) -> bytes:
    import sentencepiece
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus(seed, OTHER[:14])), model_writer=model, character_coverage=0.98, num_threads=1, minloglevel=2,
        add_dummy_prefix=True, **options)
    return model.getvalue()


def gguf_fields(model: bytes) -> dict:
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    fields = {"pieces": [piece.piece for piece in proto.pieces], "scores": [piece.score for piece in proto.pieces],
              "kinds": [piece.type for piece in proto.pieces], "bos": 1, "eos": 2, "unk": 0}
    if proto.trainer_spec.model_type == proto.trainer_spec.UNIGRAM:
        fields["unigram"] = True
        fields["merge_spaces"] = proto.normalizer_spec.remove_extra_whitespaces
        fields["charsmap"] = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
    return fields


def sentence_piece_of(fields: dict):
    """The model whose fields these are."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    for piece, score, kind in zip(fields["pieces"], fields["scores"], fields["kinds"]):
        proto.pieces.add(piece=piece, score=score, type=kind)
    unigram = fields.get("unigram", False)
    proto.trainer_spec.model_type = proto.trainer_spec.UNIGRAM if unigram else proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = 6 in fields["kinds"]
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = fields.get("merge_spaces", False)
    proto.normalizer_spec.precompiled_charsmap = base64.b64decode(fields.get("charsmap", ""))
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def without_ties(fields: dict, rows: list[str]) -> list[str]:
    """The rows of which SentencePiece and `tokenizers` make the same. SentencePiece adds scores in single precision, and its
    rounding breaks ties; `tokenizers`, llama.cpp and we add in double precision."""
    processor = sentence_piece_of(fields)
    model = models.Unigram(list(zip(fields["pieces"], fields["scores"])), unk_id=fields["unk"], byte_fallback=6 in fields["kinds"])
    kept = [row for row in rows if [token.id for token in model.tokenize(processor.normalize(row))] == processor.encode(row)]
    print(f"{len(rows) - len(kept)} of {len(rows)} texts left out: SentencePiece's rounding or spelt control pieces decide")
    return kept


def sentence_piece_lines(fields: dict, rows: list[str]) -> list[dict]:
    processor = sentence_piece_of(fields)
    lines = []
    for text in rows:
        ids = processor.encode(text)
        line = {"text": text, "ids": ids}
        if fields["unk"] in ids:  # which it shows as " ⁇ " and we not at all
            line["decoded"] = None
        elif "\u2581" in text and fields.get("merge_spaces"):  # at the start it would go, as spaces do
            line["decoded"] = None
        elif (decoded := processor.decode(ids)) != text:
            line["decoded"] = decoded
        lines.append(line)
    return lines


def sentence_piece(name: str, seed: int) -> None:
    """One SentencePiece model of merges, as GGUF lists it and as tokenizer.json lists it."""
    fields = gguf_fields(sentence_piece_model(seed, model_type="bpe", vocab_size=VOCABULARY + 256, byte_fallback=True,
                                              normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True))
    write(f"{name}.gguf.json", fields)
    write(f"{name}.lines.json", sentence_piece_lines(fields, [text for text in texts(seed + 100, 150) if "\0" not in text]))

    # The merges that lead to a piece rank as the piece does.
    pieces, scores, kinds = fields["pieces"], fields["scores"], fields["kinds"]
    ordinary = {piece: i for i, piece in enumerate(pieces) if kinds[i] == 1}
    merges = [(scores[i], piece[:k], piece[k:]) for piece, i in ordinary.items() for k in range(1, len(piece))
              if piece[:k] in ordinary and piece[k:] in ordinary]
    merges.sort(key=lambda merge: -merge[0])
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[(a, b) for _, a, b in merges],
                                     unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    write(f"{name}.tokenizer.json", json.loads(tokenizer.to_str()))


def sentence_piece_unigram(name: str, seed: int) -> None:
    """A unigram model with byte tokens that normalises nothing."""
    fields = gguf_fields(sentence_piece_model(seed, model_type="unigram", vocab_size=200 + 256, byte_fallback=True,
                                              normalization_rule_name="identity", remove_extra_whitespaces=False))
    write(f"{name}.gguf.json", fields)
    write(f"{name}.lines.json", sentence_piece_lines(fields, without_ties(fields, [text for text in texts(seed + 100, 80) if "\0" not in text])))


def charsmap(name: str, seed: int) -> None:
    """A unigram model with a table of characters, as GGUF lists it, and as Transformers writes it: two witnesses, which disagree
    about the table."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES.items():
            print("\t".join(" ".join(f"{ord(c):X}" for c in side) for side in (source, target)), file=rules)
        rules.flush()
        fields = gguf_fields(sentence_piece_model(seed, model_type="unigram", vocab_size=220, normalization_rule_tsv=rules.name))
    write(f"sentencepiece_{name}.gguf.json", fields)
    rows = [text for text in texts(seed + 100, 80) if "\0" not in text]
    write(f"sentencepiece_{name}.lines.json", sentence_piece_lines(fields, without_ties(fields, rows)))

    tokenizer = Tokenizer(models.Unigram(list(zip(fields["pieces"], fields["scores"])), unk_id=0))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(base64.b64decode(fields["charsmap"])),
                                                 normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = DECODER
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    save(name, tokenizer, seed + 100, count=80)


def check() -> None:
    """Whether the witnesses still say what is committed."""
    bad = 0
    for path in sorted(HERE.glob("*.lines.json")):
        name = path.name.removesuffix(".lines.json")
        committed = json.loads(path.read_text())
        rows = [line["text"] for line in committed]
        fields = HERE / f"{name}.gguf.json"
        try:
            if fields.exists():
                asked = sentence_piece_lines(json.loads(fields.read_text()), rows)
            else:
                asked = lines_of(Tokenizer.from_file(str(HERE / f"{name}.tokenizer.json")), rows)
        except ModuleNotFoundError:
            print(f"{name}: skipped, the package sentencepiece is not installed")
            continue
        differ = [line["text"] for line, now in zip(committed, asked) if line != now]
        print(f"{name}: {len(rows)} lines" + (f", {len(differ)} DIFFER, such as {differ[0]!r}" if differ else ""))
        bad += len(differ)
    sys.exit(bad > 0)


MAKERS = {
    "gpt2": lambda: byte_level("gpt2", 1, GPT2),
    "qwen2": lambda: byte_level("qwen2", 2, [QWEN2], normalizers.NFC(), pairs=False),
    "llama3": lambda: byte_level("llama3", 3, [LLAMA3]),
    "gpt4o": lambda: byte_level("gpt4o", 4, [GPT4O]),
    "deepseek": lambda: byte_level("deepseek", 5, DEEPSEEK, digits=True),
    "metaspace": lambda: metaspace("metaspace", 6, "always", True),
    "metaspace_first": lambda: metaspace("metaspace_first", 7, "first", False),
    "prepend": lambda: prepend("prepend", 8),
    "sentencepiece": lambda: sentence_piece("sentencepiece", 9),
    "unigram": lambda: unigram("unigram", 10, pre_tokenizers.Metaspace(),
                               normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])),
    "unigram_words": lambda: unigram("unigram_words", 14, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
                                     normalizers.NFKD()),
    "unigram_bytes": lambda: unigram("unigram_bytes", 11, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), byte_tokens=True),
    "sentencepiece_unigram": lambda: sentence_piece_unigram("sentencepiece_unigram", 12),
    "charsmap": lambda: charsmap("charsmap", 13),
}


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        check()
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()


if __name__ == "__main__":
    main()
