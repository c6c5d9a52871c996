#!/usr/bin/env python3
"""Makes bleu.json: what sacrebleu gives for odd texts, for unit/core/metrics/bleu_test.cpp.

    python tests/oracle/make_bleu_fixture.py        (sacrebleu; the version is recorded in the file)

`corpora`: hypotheses, references (a list for each set), tokenizer, lowercase, and the score, counts, lengths and lines that sacrebleu
prints. `tokens`: texts with the tokens that are counted, by tokenizer and case.
"""
import json
import pathlib
import random

import sacrebleu
from sacrebleu.metrics import BLEU

ODD = [
    "", " ", "\t", ".", "...", "a", "Hello, world!", "It's 3.14, not 3,14.", "1,000.50 dollars - or 1-2?", "3-4 5 -6 a-b 7-",
    "&quot;Tom &amp; Jerry&quot; &lt;b&gt; &amp;lt; &apos;x&apos;", "<skipped>gone <skipped>", "e.g. U.S.A. a.b.c ,x, .5 5. 5.x x.5",
    "100% @home #1 $5 50€ £3", "[a]{b}(c)\\d/e^f_g`h~i|j", "don't `quote' \"this\"", "a,b;c:d?e!f", "x=1+1*2",
    "Ein Mann, der läuft, grüßt Straße ÄÖÜ.", "ΟΔΟΣ ΣΑΣ Σ. ΑΣ' Σ'Α ΑΣ.", "İstanbul IĞDIR ıi", "Café naïve cafe\u0301", "日本語のテキスト。全角，句点．",
    "Привет, мир. 5.Привет", "a\u00a0b\u2003c\u3000d\u2028e\u200bf\x85g\x1ch\x1di", "tab\there  two   spaces ", " leading and trailing ",
    "emoji 😀.😀,x 👩‍👩‍👧", "“curly” ‘quotes’ – dash — long…", "0.5.5,5,.,.5-5.-5", "A" * 300, ".,.,.,9.,9", "ǅ ﬁ ﬀ ẞ Ⅷ ⓐ Ⓐ",
    "-\r", "line\rbreak", "don&#39;t", "&ampquot; &amp;quot;", "\u2019S ΟΣ\u2019 Σ\u00adx ΑΣ\u00ad", "١٢٣.٤ ٣-٤", "a.\u0301b",
]
WORDS = "a man in the blue shirt is standing on ladder cleaning window . two young white males are outside near many bushes , 3.5 U.S.".split()


def sentences(seed, count):
    generator = random.Random(seed)
    return [" ".join(generator.choice(WORDS) for _ in range(generator.randint(1, 14))) for _ in range(count)]


def noisy(lines, seed, rate):
    generator = random.Random(seed)
    result = []
    for line in lines:
        words = [generator.choice(WORDS) if generator.random() < rate else word for word in line.split()]
        if generator.random() < 0.3 and len(words) > 2:
            del words[generator.randrange(len(words))]
        result.append(" ".join(words).capitalize())
    return result


def main():
    truth = sentences(1, 60)
    corpora = {
        "odd texts against themselves": (ODD, [ODD]),
        "odd texts against their neighbours": (ODD, [ODD[1:] + ODD[:1]]),
        "odd texts doubled": ([text + " " + text for text in ODD], [ODD, [text + " x" for text in ODD]]),
        "good": (noisy(truth, 2, 0.1), [truth]),
        "fair": (noisy(truth, 3, 0.4), [truth]),
        "poor": (noisy(truth, 4, 0.9), [truth]),
        "three references": (noisy(truth, 5, 0.4), [truth, noisy(truth, 6, 0.3), noisy(truth, 7, 0.3)]),
        "too long": ([line + " and so on and on" for line in truth], [truth]),
        "too short": ([" ".join(line.split()[:3]) for line in truth], [truth]),
        "empty hypotheses": ([""] * 5, [truth[:5]]),
        "empty references": (truth[:5], [[""] * 5]),
        "nothing in common": (["x y z w v"] * 3, [["a b c d e"] * 3]),
        "no trigram in common": (["a b x a b", "q a b r s"], [["a b c d e", "a b c d e"]]),
        "only three tokens": (["a b c"], [["a b c"]]),
        "one token": (["a"], [["a"]]),
        "nothing": ([], [[]]),
    }
    result = {"sacrebleu": sacrebleu.__version__, "corpora": [], "tokens": []}
    for name, (hypotheses, references) in corpora.items():
        for tokenize in ("13a", "none"):
            for lowercase in (False, True):
                if not hypotheses:
                    continue
                metric = BLEU(tokenize=tokenize, lowercase=lowercase)
                score = metric.corpus_score(hypotheses, references)
                result["corpora"].append({
                    "name": name, "hypotheses": hypotheses, "references": references, "tokenize": tokenize, "lowercase": lowercase,
                    "score": score.score, "matches": score.counts, "totals": score.totals, "lengths": [score.sys_len, score.ref_len],
                    "signature": "|".join(str(metric.get_signature()).split("|")[:-1]),
                    "text": score.format().removeprefix("BLEU = ")})
    for text in ODD:
        for tokenize in ("13a", "none"):
            for lowercase in (False, True):
                metric = BLEU(tokenize=tokenize, lowercase=lowercase)
                result["tokens"].append([text, tokenize, lowercase, metric._preprocess_segment(text).split()])
    path = pathlib.Path(__file__).parent / "bleu.json"
    path.write_text(json.dumps(result, ensure_ascii=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
