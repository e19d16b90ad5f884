"""Records minilm.json: ids of the texts on stdin (a JSON list: samples of samples_test.go) by Hugging Face's tokenizers, without ends.

    pip install tokenizers; python3 minilm.py MODEL_FOLDER <samples.json >minilm.json
"""
import json
import sys
import unicodedata

from tokenizers import Tokenizer

t = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
t.no_truncation()
t.no_padding()
texts = [unicodedata.normalize("NFC", s) for s in json.load(sys.stdin)]
json.dump([t.encode(s, add_special_tokens=False).ids for s in texts], sys.stdout)
print()
