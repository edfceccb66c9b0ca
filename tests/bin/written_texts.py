"""Numbers about written texts, worked out another way than the programs do."""

import math
import zlib

import numpy as np
import pytest
import sacrebleu
import tensorflow as tf

from tests.bin.conftest import read_json, read_lines


def recomputed(workdir, examples, learned_from, model, sampler, max_length):
    """Holds metrics.json and texts.jsonl against other ways to the same numbers."""
    metrics, rows = read_json(workdir, "metrics.json"), read_lines(workdir / "texts.jsonl")
    written = model.generate(examples, sampler=sampler, max_length=max_length)
    assert [row["text"] for row in rows] == written and [r["id"] for r in rows] == examples.ids
    measured = [row for row in rows if row["reference"]]
    texts, references = ([row[key] for row in measured] for key in ("text", "reference"))
    assert metrics["num_examples"] == len(measured)
    assert metrics["num_without_reference"] == len(rows) - len(measured)
    chrf = sacrebleu.corpus_chrf(texts, [references]).score
    assert metrics["chrf"]["value"] == pytest.approx(chrf)
    assert metrics["chrf"]["low"] <= chrf <= metrics["chrf"]["high"]
    right = np.mean([text == reference for text, reference in zip(texts, references, strict=True)])
    assert metrics["exact_match"]["value"] == pytest.approx(right)
    check_tokens(metrics, model, examples, learned_from)
    return metrics, measured


def check_tokens(metrics, model, examples, learned_from):
    """Perplexities and the share of right tokens, token by token."""
    preprocessor, right, logs = model.target_preprocessor, [], []
    counts = np.ones(preprocessor.tokenizer.vocabulary_size())
    for x in learned_from.as_numpy_iterator():
        for token in tokens_of(preprocessor, x[0] if isinstance(x, tuple) else x, model)[1:]:
            counts[token] += 1
    frequencies = np.log(counts / counts.sum())
    unigram = []
    for element in examples.batch(1):
        x = element[0] if isinstance(element, tuple) else element
        ids = tokens_of(preprocessor, {k: v.numpy()[0] for k, v in x.items()}, model)
        if not ids:
            continue
        (source,) = model.encoders
        tensors = dict(model.preprocessor({source: x[source]}))
        tensors["source_ids"] = tensors.get("token_ids")
        inputs = tensors | {"token_ids": tf.constant([ids[:-1]])}
        log_probs = tf.nn.log_softmax(model(inputs)).numpy()[0].astype(np.float64)
        right += (log_probs.argmax(-1) == ids[1:]).tolist()
        logs += [row[token] for row, token in zip(log_probs, ids[1:], strict=True)]
        unigram += frequencies[ids[1:]].tolist()
    assert metrics["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
    assert metrics["perplexity"] == pytest.approx(math.exp(-np.mean(logs)), rel=1e-3)
    assert metrics["unigram_perplexity"] == pytest.approx(math.exp(-np.mean(unigram)), rel=1e-6)


def tokens_of(preprocessor, x, model):
    found = preprocessor.text_tensors(tf.constant(x[model.target]))
    return found["token_ids"].numpy()[: int(found["padding_mask"].numpy().sum())].tolist()


def trigrams(text):
    padded = f"  {text} "
    found = {}
    for letters in zip(padded, padded[1:], padded[2:], strict=False):
        place = zlib.crc32("".join(letters).encode()) % 1024
        found[place] = found.get(place, 0) + 1
    return found


def cosine(one, other):
    product = sum(count * other.get(gram, 0) for gram, count in one.items())
    return product / math.hypot(*one.values()) / math.hypot(*other.values())
