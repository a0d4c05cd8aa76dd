"""Trains the byte-level BPE vocabulary on the corpus and turns the corpus into token arrays.

Usage: python prepare.py CORPUS.jsonl OUT_DIR [--vocabulary OUT_DIR_OF_AN_EARLIER_RUN]

Writes vocabulary.json (tokens, merges, special tokens) and tokens.npz (ids, loss, offsets).
The pre-tokenizer is the one llama.cpp calls "qwen2": digits stand alone. The merges are learnt on words without the
space before them, so a name is the same tokens after a space, after a quote and at the start of an answer: a small
model copies it far more easily. Only words that nearly always follow a space get a token that includes it.
"""

import argparse
import collections
import json
import pathlib
import re

import numpy
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY_SIZE = 2048
SPACED_WORDS = 160
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
# The same pieces, but letters never share one with what stands before them.
WORDS_ALONE = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"


def new_tokenizer(vocabulary=None, merges=None, split=SPLIT):
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_vocabulary(lines):
    """Learns the merges from the corpus without its special tokens; returns tokens in id order and merges."""
    texts = []
    for line in lines:
        for text, _ in json.loads(line):
            for special in SPECIAL_TOKENS:
                text = text.replace(special, "\n")
            texts.append(text)
    tokenizer = new_tokenizer(split=WORDS_ALONE)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL_TOKENS) - SPACED_WORDS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    words = spaced_words(texts, model["vocab"])
    return tokens + ["Ġ" + word for word in words] + SPECIAL_TOKENS, merges + ["Ġ " + word for word in words]


def spaced_words(texts, known):
    """The most frequent words of one token that follow a space 98 times in 100."""
    after_space, everywhere = collections.Counter(), collections.Counter()
    for text in texts:
        everywhere.update(re.findall("[A-Za-z]+", text))
        after_space.update(re.findall("(?<= )[A-Za-z]+", text))
    fitting = (word for word, count in after_space.most_common() if word in known and count > 0.98 * everywhere[word])
    return [word for word, _ in zip(fitting, range(SPACED_WORDS))]


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
