"""The model's own small vocabulary, learnt from the captions, in both forms of the hub."""

import json

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

import captions

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
CONTEXT = 32


def learned_merges():
    """Merges until every word of the captions is one token, in CLIP's manner of cutting text."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = CLIPTokenizer(vocab={BEGIN: 0, END: 1})._tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    learner.train_from_iterator(captions.everything(), trainer)
    return [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]


def byte_symbols():
    """GPT-2's characters for the 256 bytes."""
    itself = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [b for b in range(256) if b not in itself]
    table = {b: chr(b) for b in itself} | {b: chr(0x100 + i) for i, b in enumerate(other)}
    return [table[b] for b in range(256)]


def make_tokenizer():
    """Ids in CLIP's order: bytes, bytes at the end of a word, merges, begin and end."""
    merges, symbols = learned_merges(), byte_symbols()
    tokens = [*symbols, *(s + "</w>" for s in symbols), *(a + b for a, b in merges), BEGIN, END]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
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
