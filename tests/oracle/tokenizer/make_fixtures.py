"""Writes bpe.json beside this file: what Hugging Face `tokenizers` trains and encodes (checked with 0.23.3).

Run by hand: python tests/oracle/tokenizer/make_fixtures.py
"""
import json
import pathlib
import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"


def training_texts():
    words = ["tensor", "rank", "mesh", "the", "a", "of", "int", "return", "gradient", "größe", "naïve", "слово",
             "数据", "banana", "bananas", "ana", "x1", "2024", "don't", "we'll", "\U0001F44B", "aaaa", "aaaaaa"]
    generator = random.Random(7)
    lines = []
    for _ in range(120):
        line = generator.choice(["", "  ", "\t", "    "])
        line += " ".join(generator.choice(words) for _ in range(generator.randrange(1, 12)))
        lines.append(line + generator.choice([".", ";", " {", "}", "...", "!?", "  "]))
    return ["\n".join(lines[:80]) + "\n", "\n\n".join(lines[80:])]


def encoded_texts():
    generator = random.Random(8)
    alphabet = [chr(c) for c in range(0x20, 0x7F)] + list("\t\n\r\u00a0\u0085\u180e\u2003\u3000\u200b") + list(
        "éßøñжщЖ中文日本語한국어\u0301\u0e01\u0e34٣४²½Ⅷ🙂👩‍👩‍👧\ufeff\u00ad")
    texts = ["", " ", "  ", "\n", " \n ", "don't we'll I'M it's'", "Hello  world\n\n\n  x", END, f"a{END} b{END}{END}",
             "<|endoftext|", "x" * 300, "banana" * 40, "   leading", "trailing   ", "a\u0085b", "a\u180eb\u180e c"]
    for _ in range(60):
        texts.append("".join(generator.choice(alphabet) for _ in range(generator.randrange(1, 40))))
    return texts


def train(texts, vocab_size, min_frequency):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


texts = training_texts()
tokenizer = train(texts, 420, 2)
fixture = {
    "training_texts": texts,
    "vocab_size": 420,
    "min_frequency": 2,
    "tokenizer_json": tokenizer.to_str(),
    "texts": encoded_texts(),
    "ids": [tokenizer.encode(text).ids for text in encoded_texts()],
    "exhausted_vocab_size": train(texts, 100000, 3).get_vocab_size(),
}
path = pathlib.Path(__file__).with_name("bpe.json")
path.write_text(json.dumps(fixture, indent=1) + "\n")
