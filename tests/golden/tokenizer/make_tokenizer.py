"""Makes the tokenizers beside this script and the ids that transformers gives with them. See README.md.

make_tokenizer.py [--output DIR]
"""

import argparse
import json
import pathlib
import shutil
import sys

import numpy as np
import tokenizers
import transformers
from safetensors.numpy import save_file
from transformers import CLIPTokenizer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "apps/demo/train"))

import texts  # noqa: E402
from clip_files import BEGIN, END, byte_symbols, learned_merges, vocabulary  # noqa: E402

CONTEXT = 77
MERGES = 1200


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_vocab_merges(directory, merges):
    """As hub directories of 2021: vocab.json with merges.txt, special tokens in a map."""
    write_json(directory / "vocab.json", vocabulary(merges, byte_symbols()))
    lines = ["#version: 0.2", *(" ".join(m) for m in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n")
    end = dict(content=END, single_word=False, lstrip=False, rstrip=False, normalized=True)
    names = {"bos_token": end | {"content": BEGIN}, "eos_token": end, "unk_token": end, "pad_token": END}
    write_json(directory / "special_tokens_map.json", names)
    write_json(directory / "tokenizer_config.json", {"model_max_length": CONTEXT, "tokenizer_class": "CLIPTokenizer"})


def write_tokenizer_json(directory, merges):
    """As save_pretrained writes it, padding with a token of the vocabulary."""
    vocab = vocabulary(merges, byte_symbols())
    tokenizer = CLIPTokenizer(vocab=vocab, merges=merges, pad_token="!", model_max_length=CONTEXT)
    tokenizer.save_pretrained(directory)


def write_few_bytes(directory, merges):
    """A vocabulary that lacks most bytes: they become the unknown token. Merges as strings."""
    symbols = [s for s in byte_symbols() if s.isascii() and (s.isalnum() or s in "'.!")]
    merges = [m for m in merges if all(part.removesuffix("</w>").isascii() for part in m)]
    vocab = vocabulary([], symbols)
    known = set(vocab)
    kept = []
    for left, right in merges:
        if left in known and right in known:
            kept.append((left, right))
            known.add(left + right)
    tokenizer = CLIPTokenizer(vocab=vocabulary(kept, symbols), merges=kept)
    tokenizer.save_pretrained(directory)
    file = directory / "tokenizer.json"
    value = json.loads(file.read_text())
    value["model"]["merges"] = [" ".join(m) for m in value["model"]["merges"]]
    write_json(file, value)


KINDS = {"vocab-merges": write_vocab_merges, "tokenizer-json": write_tokenizer_json, "few-bytes": write_few_bytes}


def flat(lists, dtype):
    return {
        "": np.array([x for part in lists for x in part], dtype),
        "_ends": np.cumsum([len(part) for part in lists]).astype(np.int32),
    }


def main():
    parser = argparse.ArgumentParser(description="Makes the golden tokenizers.")
    parser.add_argument("--output", type=pathlib.Path, default=HERE)
    output = parser.parse_args().output
    every_text = texts.texts()
    tensors = {"texts" + k: v for k, v in flat([t.encode() for t in every_text], np.uint8).items()}
    merges = learned_merges(texts.learning_text(), 512 + MERGES)
    for name, write in KINDS.items():
        directory = output / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        write(directory, merges)
        tokenizer = CLIPTokenizer.from_pretrained(directory)
        ids = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in every_text]
        framed = tokenizer(every_text, padding="max_length", truncation=True, max_length=CONTEXT)["input_ids"]
        tensors |= {name + k: v for k, v in flat(ids, np.uint16).items()}
        # The frame follows from the ids: one in eight shows it, and each that may be cut.
        shown = [i for i, t in enumerate(ids) if i % 8 == 0 or len(t) > CONTEXT - 4]
        tensors[name + "_shown"] = np.array(shown, np.int32)
        tensors[name + "_framed"] = np.array([framed[i] for i in shown], np.uint16)
        print(f"{name}: {len(tokenizer)} tokens, {sum(map(len, ids))} ids of {len(every_text)} texts")
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    save_file(tensors, output / "golden.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
