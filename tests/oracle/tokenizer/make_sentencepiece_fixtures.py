"""Writes sentencepiece-unigram.model, sentencepiece-bpe.model and sentencepiece.json beside this file: small models and what
the sentencepiece package (checked with 0.2.3) does with them.

Run by hand: python tests/oracle/tokenizer/make_sentencepiece_fixtures.py
"""
import io
import json
import pathlib
import random
import tempfile

import sentencepiece

FOLDER = pathlib.Path(__file__).parent


def training_lines():
    generator = random.Random(21)
    words = ["the", "a", "trireme", "oars", "rowed", "rowing", "row", "rows", "banks", "three", "gradient", "gradients", "größe",
             "Straße", "naïve", "слово", "数据", "ﬁne", "2024", "don't", "x1", "banana", "bananas"]
    return [" ".join(generator.choice(words) for _ in range(generator.randrange(1, 12))) + generator.choice([".", "!", "", " ,"])
            for _ in range(600)]


def texts():
    generator = random.Random(22)
    fragments = ["the", "trireme", "rowing", "größe", "数据", "ﬁne", "banana", "zzz", "🙂", " ", "  ", "\t", "\n", "\u00a0", "\u3000", "\u200b",
                 "\u0301", "Ⅷ", "½", "<s>", "</s>", "<unk>", "▁", "don't", ",", "\x07", "\ufeff", "A", "½"]
    result = ["", " ", "the rows", "  leading", "trailing  ", "two\nlines", "banana" * 30]
    for _ in range(60):
        result.append(generator.choice(["", " "]).join(generator.choice(fragments) for _ in range(generator.randrange(1, 12))))
    return result


# The library's own table of NFKC would fill 240 kB: a few rules stand for it, as code points.
RULES = {"ﬁ": "fi", "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "Ⅷ": "VIII", "½": "1/2", "\u200b": "", "\ufeff": "", "A": "a"}
rules = tempfile.NamedTemporaryFile("w", suffix=".tsv")
for source, target in RULES.items():
    rules.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
rules.flush()

cases = []
for name, options in (("unigram", {"normalization_rule_tsv": rules.name}), ("bpe", {"model_type": "bpe", "normalization_rule_name": "identity", "user_defined_symbols": ["[MASK]"], "byte_fallback": True,
                                                "control_symbols": ["[CLS]", "[SEP]"], "pad_id": 3})):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(training_lines()), model_writer=model, hard_vocab_limit=False,
                                             vocab_size=120 if name == "unigram" else 420, minloglevel=2, **options)
    (FOLDER / f"sentencepiece-{name}.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = [processor.encode(text) for text in texts()]
    cases.append({"name": name, "vocab_size": processor.vocab_size(), "ids": ids,
                  "special": {"pad": processor.pad_id(), "unknown": processor.unk_id(), "begin": processor.bos_id(),
                              "end": processor.eos_id()},
                  # What is unknown is left out of our text.
                  "decoded": [processor.decode([i for i in row if i != processor.unk_id()]) for row in ids]})
fixture = {"texts": texts(), "cases": cases, "training_lines": training_lines()}
(FOLDER / "sentencepiece.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
