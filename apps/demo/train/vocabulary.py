"""The model's own small vocabulary, learnt from the captions, in both forms of the hub."""

import json

from transformers import CLIPTokenizer

import captions
import clip_files

CONTEXT = 32


def make_tokenizer():
    """Merges until every word of the captions is one token."""
    merges = clip_files.learned_merges(captions.everything(), 4096)
    vocab = clip_files.vocabulary(merges, clip_files.byte_symbols())
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CONTEXT), vocab, merges


def write(directory):
    """tokenizer.json and tokenizer_config.json, and the older vocab.json with merges.txt."""
    tokenizer, vocab, merges = make_tokenizer()
    tokenizer.save_pretrained(directory)
    text = json.dumps(vocab, ensure_ascii=False, separators=(",", ":"))
    (directory / "vocab.json").write_text(text + "\n")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n")
    return tokenizer
