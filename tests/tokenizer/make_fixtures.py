#!/usr/bin/env python3
"""Makes the fixtures beside this file: small tokenizers, difficult texts, and the ids of witnesses.

The witnesses are the packages `tokenizers` (made with 0.23) and `sentencepiece` (made with 0.2). All
text is made up here, from a seed. src/tokenizer/witness_test.cc reproduces every line of the result.

  pip install tokenizers sentencepiece && python3 tests/tokenizer/make_fixtures.py

NAME.tokenizer.json   a tokenizer as the package saves it
NAME.gguf.json        a SentencePiece model as a GGUF file would list it
NAME.lines.json       [{text, ids, plain, decoded}]: `ids` with special tokens found in the text,
                      `plain` without (absent where equal), `decoded` from `ids` without special
                      tokens (absent where equal to the text)
"""
import io
import json
import pathlib
import random

import sentencepiece
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
    lines = []
    for text in rows:
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        line = {"text": text, "ids": ids}
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        if plain != ids:
            line["plain"] = plain
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        if decoded != text:
            line["decoded"] = decoded
        lines.append(line)
    return lines


def save(name: str, tokenizer: Tokenizer, seed: int, edit=lambda root: None) -> None:
    root = json.loads(tokenizer.to_str())
    edit(root)
    write(f"{name}.tokenizer.json", root)
    tokenizer = Tokenizer.from_str(json.dumps(root))
    write(f"{name}.lines.json", lines_of(tokenizer, texts(seed, 150)))


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
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    with_byte_tokens(name, seed, tokenizer)


def prepend(name: str, seed: int) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    with_byte_tokens(name, seed, tokenizer)


def sentence_piece(name: str, seed: int) -> None:
    """One SentencePiece model, as GGUF lists it and as tokenizer.json lists it."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus(seed, OTHER[:14])), model_writer=model, model_type="bpe", vocab_size=VOCABULARY + 256,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=True, split_digits=True, num_threads=1, minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    size = processor.get_piece_size()

    def kind(i: int) -> int:
        if processor.is_unknown(i):
            return 2
        if processor.is_control(i):
            return 3
        return 6 if processor.is_byte(i) else 1

    pieces = [processor.id_to_piece(i) for i in range(size)]
    scores = [processor.get_score(i) for i in range(size)]
    kinds = [kind(i) for i in range(size)]
    write(f"{name}.gguf.json", {"pieces": pieces, "scores": scores, "kinds": kinds, "bos": 1, "eos": 2, "unk": 0})

    rows = [text for text in texts(seed + 100, 150) if "\0" not in text]
    lines = []
    for text in rows:
        ids = processor.encode(text)
        line = {"text": text, "ids": ids}
        decoded = processor.decode(ids)
        if decoded != text:
            line["decoded"] = decoded
        lines.append(line)
    write(f"{name}.lines.json", lines)

    # The merges that lead to a piece rank as the piece does.
    ordinary = {piece: i for i, piece in enumerate(pieces) if kinds[i] == 1}
    merges = [(scores[i], piece[:k], piece[k:]) for piece, i in ordinary.items() for k in range(1, len(piece))
              if piece[:k] in ordinary and piece[k:] in ordinary]
    merges.sort(key=lambda merge: -merge[0])
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[(a, b) for _, a, b in merges],
                                     unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    write(f"{name}.tokenizer.json", json.loads(tokenizer.to_str()))


def main() -> None:
    byte_level("gpt2", 1, GPT2)
    byte_level("qwen2", 2, [QWEN2], normalizers.NFC(), pairs=False)
    byte_level("llama3", 3, [LLAMA3])
    byte_level("gpt4o", 4, [GPT4O])
    byte_level("deepseek", 5, DEEPSEEK, digits=True)
    metaspace("metaspace", 6, "always", True)
    metaspace("metaspace_first", 7, "first", False)
    prepend("prepend", 8)
    sentence_piece("sentencepiece", 9)


if __name__ == "__main__":
    main()
