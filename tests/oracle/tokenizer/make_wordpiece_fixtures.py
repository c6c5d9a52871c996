"""Writes wordpiece.json beside this file: what Hugging Face `tokenizers` does for BERT (checked with 0.23.3).

Its tables of categories are older than utf8proc's, so that only code points are drawn whose category has been the same
since Unicode 3.2.

Run by hand: python tests/oracle/tokenizer/make_wordpiece_fixtures.py
"""
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
OPTIONS = [  # clean_text, handle_chinese_chars, strip_accents, lowercase, max_input_chars_per_word
    (True, True, True, True, 100),
    (True, True, False, False, 100),
    (True, False, True, False, 200),
    (True, True, False, True, 7),
    (False, True, True, True, 100),
]


def is_stable(code):
    character = chr(code)
    if 0xD800 <= code < 0xE000:
        return False
    old = unicodedata.ucd_3_2_0  # what is unassigned in it may have been assigned since
    return "Cn" != old.category(character) == unicodedata.category(character) and (
        old.normalize("NFD", character) == unicodedata.normalize("NFD", character))


STABLE = [code for code in range(0x110000) if is_stable(code)]


def normalizer(clean, cjk, accents, lower):
    return normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=cjk, strip_accents=accents, lowercase=lower)


def words(text, options):
    normalized = normalizer(*options[:4]).normalize_str(text)
    return [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalized)]


def classes():
    """Runs of code points [first, last, kind]: what becomes of one between two letters."""
    runs = []
    for code in STABLE:
        found = words("a" + chr(code) + "b", (True, True, False, False))
        kind = {"ab": "none", "a b": "space", f"a {chr(code)} b": "word"}.get(" ".join(found), "letter")
        if runs and runs[-1][2] == kind and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code, kind])
    return runs


def folded():
    """What lower case without accents changes; of Hangul a part, as all of it has the same rule."""
    fold = normalizer(False, False, True, True).normalize_str
    pairs = {chr(code): fold(chr(code)) for code in STABLE if not 0xAC10 <= code <= 0xD7A0}
    return {key: value for key, value in pairs.items() if key != value}


def texts():
    generator = random.Random(11)
    fragments = ["unaffable", "don't", "Größe", "naïve", "ÅNGSTRÖM", "İstanbul", "I\u0307", "Ǆ", "ΣΊΣΥΦΟΣ", "北京大学", "ひらがな",
                 "カタカナ", "한국어", "ﬁne", "Å", "A\u030a", "\u0301", "e\u0301\u0327", "e\u0327\u0301", "\u200d", "\u00ad",
                 "\ufeff", "\u0378", "\ue000", "\U000f0000", "\ufffd", "\x00", "\x07", "\x7f", "\u0085", "\u00a0", "\u2028", "\u3000", "\t",
                 "\r\n", "...", "[UNK]", "[MASK]", "##ing", "x" * 99, "x" * 101, "é" * 8, "1st", "$3.50", "a_b", "^~`|+<=>", "\u2019s",
                 "\u00bf", "\u3002", "\U0001D7D8", "\U00010400", "\U0002F800", "\u0e01\u0e34\u0e19", "नमस्ते", "שָׁלוֹם", "العربية"]
    result = ["", " ", "\n\n", "Hello, World!", "  leading and trailing  ", "\u0301a", "a" * 300]
    for _ in range(90):
        parts = [generator.choice(fragments) if generator.random() < 0.7 else chr(generator.choice(STABLE))
                 for _ in range(generator.randrange(1, 14))]
        result.append(generator.choice(["", " "]).join(parts))
    return result


def training_texts():
    """Words of few letters with uneven counts, so that few pairs are equally frequent."""
    generator = random.Random(12)
    lines = []
    for _ in range(60):
        word = "".join(generator.choice("abcdeÄ语") for _ in range(generator.randrange(2, 7)))
        word = generator.choice([word, word, word.upper()])
        lines += [word + generator.choice(["", " ", ".", "é"])] * int(generator.paretovariate(0.7) * 3 % 150 + 1)
    generator.shuffle(lines)
    return [" ".join(lines[:400]), "\n".join(lines[400:])]


def make(vocabulary, options):
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=options[4]))
    tokenizer.normalizer = normalizer(*options[:4])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def train(lines, vocab_size, lower, min_frequency):
    tokenizer = make({"[UNK]": 0}, (True, True, lower, lower, 100))
    tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=SPECIALS, show_progress=False))
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)


if sys.argv[1:] == ["--train"]:
    print(json.dumps([sorted(train(training_texts(), *arguments)) for arguments in json.loads(sys.stdin.read())]))
    sys.exit()

# The trainer numbers the letters inside words in an order that changes from run to run, and breaks ties by it: sizes
# are taken where no tie decides.
TRIED = [[size, lower, frequency] for size in range(34, 120, 2) for lower, frequency in ((True, 2), (False, 9))]
runs = [json.loads(subprocess.run([sys.executable, __file__, "--train"], input=json.dumps(TRIED), text=True,
                                  capture_output=True, check=True).stdout) for _ in range(24)]
same = [i for i in range(len(TRIED)) if all(run[i] == runs[0][i] for run in runs)]
chosen = []
for lower in (True, False):
    candidates = [i for i in same if TRIED[i][1] == lower]
    chosen += candidates[:: max(1, len(candidates) // 4)][:5]

text_list = texts()
characters = sorted({c for text in text_list for options in OPTIONS for word in words(text, options) for c in word})
generator = random.Random(13)
pieces = sorted({word[i:j] for text in text_list for word in words(text, OPTIONS[0]) + words(text, OPTIONS[1])
                 for i in range(min(len(word), 6)) for j in range(i + 2, min(len(word), i + 5) + 1)})
tokens = SPECIALS + [c for c in characters if generator.random() < 0.8]
tokens += ["##" + c for c in characters if generator.random() < 0.8]
tokens += [prefix + piece for piece in pieces for prefix in ("", "##") if generator.random() < 0.3]
tokens = list(dict.fromkeys(tokens))
vocabulary = {token: index for index, token in enumerate(tokens)}
cases = []
for options in OPTIONS:
    tokenizer = make(vocabulary, options)
    cases.append({"options": options, "words": [words(text, options) for text in text_list],
                  "ids": [tokenizer.encode(text).ids for text in text_list]})
saved = make(vocabulary, OPTIONS[1])
saved.add_special_tokens(SPECIALS)
fixture = {
    "classes": classes(),
    "folded": folded(),
    "tokens": tokens,
    "texts": text_list,
    "cases": cases,
    "tokenizer_json": saved.to_str(),
    "training_texts": training_texts(),
    "trained": [{"vocab_size": TRIED[i][0], "lower": TRIED[i][1], "min_frequency": TRIED[i][2], "tokens": runs[0][i]}
                for i in chosen],
}
print(len(same), "of", len(TRIED), "trainings without ties;", len(chosen), "taken")
path = pathlib.Path(__file__).with_name("wordpiece.json")
path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
