"""What a hub directory of CLIP holds besides weights: preprocessing, and a vocabulary in CLIP's order.

The goldens of tests/golden use it too.
"""

import json

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def preprocessor(edge, crop=None, **more):
    """preprocessor_config.json as a dict: shortest edge, then a square of `crop` or as large."""
    crop = crop or edge
    return {
        "crop_size": {"height": crop, "width": crop},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": STD,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": edge},
        **more,
    }


def learned_merges(texts, vocab_size):
    """Merges of texts by the tokenizers package, in CLIP's manner of cutting text."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = CLIPTokenizer(vocab={BEGIN: 0, END: 1})._tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    learner.train_from_iterator(texts, trainer)
    return [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]


def byte_symbols():
    """GPT-2's characters for the 256 bytes."""
    itself = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [b for b in range(256) if b not in itself]
    table = {b: chr(b) for b in itself} | {b: chr(0x100 + i) for i, b in enumerate(other)}
    return [table[b] for b in range(256)]


def vocabulary(merges, symbols):
    """Ids in CLIP's order: bytes, bytes at the end of a word, merges, begin and end."""
    tokens = [*symbols, *(s + "</w>" for s in symbols), *(a + b for a, b in merges), BEGIN, END]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}
