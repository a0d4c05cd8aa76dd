"""Trains the byte-level BPE vocabulary on the corpus and turns the corpus into token arrays.

Usage: python prepare.py CORPUS.jsonl OUT_DIR [--vocabulary OUT_DIR_OF_AN_EARLIER_RUN]

Writes vocabulary.json (tokens, merges, special tokens) and tokens.npz (ids, loss, offsets).
The pre-tokenizer is the one llama.cpp calls "qwen2": digits stand alone.
"""

import argparse
import json
import pathlib

import numpy
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY_SIZE = 2048
SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def new_tokenizer(vocabulary=None, merges=None):
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_vocabulary(lines):
    """Learns the merges from the corpus without its special tokens; returns tokens in id order and merges."""
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )

    def texts():
        for line in lines:
            text = "".join(part for part, _ in json.loads(line))
            for special in SPECIAL_TOKENS:
                text = text.replace(special, "\n")
            yield text

    tokenizer.train_from_iterator(texts(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    return tokens + SPECIAL_TOKENS, merges


def load_tokenizer(vocabulary):
    """The tokenizer of a vocabulary.json, special tokens included."""
    ids = {token: index for index, token in enumerate(vocabulary["tokens"])}
    plain = {token: index for token, index in ids.items() if token not in SPECIAL_TOKENS}
    tokenizer = new_tokenizer(plain, [tuple(merge.split(" ")) for merge in vocabulary["merges"]])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    for token in SPECIAL_TOKENS:
        assert tokenizer.token_to_id(token) == ids[token], f"{token} moved to {tokenizer.token_to_id(token)}"
    return tokenizer


def encode(lines, tokenizer):
    """Encodes each segment alone, as it is tokenised when the model is used; marks what is learnt."""
    ids, loss, offsets = [], [], [0]
    for start in range(0, len(lines), 5000):
        samples = [json.loads(line) for line in lines[start : start + 5000]]
        encoded = iter(tokenizer.encode_batch([text for sample in samples for text, _ in sample]))
        for sample in samples:
            for _, learn in sample:
                piece = next(encoded).ids
                ids.extend(piece)
                loss.extend([1 if learn == 1 or (learn == 2 and index > 0) else 0 for index in range(len(piece))])
            offsets.append(len(ids))
    return numpy.array(ids, numpy.uint16), numpy.array(loss, numpy.uint8), numpy.array(offsets, numpy.int64)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--vocabulary", type=pathlib.Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = options.corpus.read_text().splitlines()
    if options.vocabulary:
        vocabulary = json.loads((options.vocabulary / "vocabulary.json").read_text())
    else:
        tokens, merges = train_vocabulary(lines[:30000])
        vocabulary = {"tokens": tokens, "merges": merges, "special": SPECIAL_TOKENS}
    (options.out / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    ids, loss, offsets = encode(lines, load_tokenizer(vocabulary))
    numpy.savez(options.out / "tokens.npz", ids=ids, loss=loss, offsets=offsets)
    lengths = numpy.diff(offsets)
    print(f"{len(lines)} samples, {len(ids)} tokens, {loss.sum()} learnt, longest {lengths.max()}, median {numpy.median(lengths)}")


if __name__ == "__main__":
    main()
