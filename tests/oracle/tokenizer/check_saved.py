"""Checks that Hugging Face `tokenizers` loads a tokenizer.json of ours and encodes as `trireme tokenize` does.

Run by hand: python tests/oracle/tokenizer/check_saved.py build/release/bin/trireme TOKENIZER_FOLDER TEXT_FILE
"""
import json
import subprocess
import sys

from tokenizers import Tokenizer

binary, folder, text_file = sys.argv[1:]
lines = open(text_file, encoding="utf-8", newline="\n").read().split("\n")[:-1]
ours = subprocess.run([binary, "tokenize", "--tokenizer", folder], input="".join(line + "\n" for line in lines),
                      capture_output=True, text=True, encoding="utf-8", check=True).stdout.splitlines()
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
lossless = json.loads(tokenizer.to_str())["model"]["type"] == "BPE"
assert len(ours) == len(lines), (len(ours), len(lines))
for line, ids in zip(lines, ours):
    expected = tokenizer.encode(line, add_special_tokens=False)
    assert json.loads(ids) == expected.ids, (line, ids, expected.ids)
    if lossless:
        assert tokenizer.decode(expected.ids, skip_special_tokens=False) == line, line
print(f"{len(lines)} lines, {sum(len(json.loads(ids)) for ids in ours)} tokens: the same")
