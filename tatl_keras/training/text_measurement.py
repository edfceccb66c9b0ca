"""How good the texts are that a model writes, beside texts that need no model."""

import unicodedata
import zlib

import keras
import numpy as np
import tensorflow as tf
import tensorflow_text

from tatl_keras.models import samplers
from tatl_keras.models.targets import source_batches
from tatl_keras.training.generation_baselines import generation_baselines, unigram_perplexity
from tatl_keras.training.generation_metrics import generation_metrics

_PLACES = 1024  # of counted trigrams
_WITHOUT_BLANKS = ("CJK", "HIRAGANA", "KATAKANA")  # scripts, as Unicode's names of letters begin


def measure_texts(
    model, examples, train, *, sampler="greedy", max_length=None, batch_size=None,
    feature_cache=None,
):  # fmt: skip
    """Has a model write about each example and compares that with the example's own text.

    Beside the model's texts stand those of `generation_baselines`. Nearest is, for pictures, the
    largest cosine between means of the encoder's tokens; for texts, between counts of their
    trigrams of characters, so that it owes the model nothing. References, and the baselines, are
    folded as the model's tokenizer folds letters, and blanks in them made one.

    Examples without a text of their own are written about but not measured.

    Args:
        model: a `Captioner` or `Translator` that has learned.
        examples: data set of `data.load` or `data.load_pairs`.
        train: the one that the model has learned from.
        sampler, max_length, batch_size, feature_cache: as `model.generate` takes them.

    Returns:
        `(metrics, rows)`. `metrics` is the dict of `generation_metrics`, which `json` can write,
        with `loss`, `accuracy` (share of right next tokens, given the right ones so far),
        `perplexity`, `unigram_perplexity` (of the same tokens), `num_without_reference`, `sampler`
        and `max_length`. `rows` is a list of dicts, one an example: `id`, `text` (what the model
        wrote), `reference`, `log_prob` and `chrf`; of translations `source`, too.

    Raises:
        ImportError: sacrebleu is not installed.
        ValueError: no example has a text to compare with; see also `model.generate`.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_transformer_translate", seed=1)
    >>> pairs = data.synthetic.pairs("copy", 8)
    >>> history = model.fit(pairs, verbose=0)
    >>> metrics, rows = training.measure_texts(model, pairs, pairs, max_length=3)
    >>> metrics["baselines"]["copy"]["exact_match"]["value"], sorted(rows[0])
    (1.0, ['chrf', 'id', 'log_prob', 'reference', 'source', 'text'])
    """
    sampler = samplers.get(sampler)
    rest = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": 0}
    references = as_written(model, column_of(examples, model.target))
    measured = [row for row, text in enumerate(references) if text]
    if not measured:
        raise ValueError(
            f'`examples` must hold texts under "{model.target}" to compare with. Received: '
            f"{len(references)} examples without one."
        )
    written = model.generate(
        examples, sampler=sampler, max_length=max_length, return_details=True, **rest
    )
    written = [some[0] if isinstance(some, list) else some for some in written]
    texts = [one.text for one in written]
    baselines = _baselines(model, examples, train, rest)
    metrics = generation_metrics(
        _at(texts, measured),
        _at(references, measured),
        baselines={name: _at(some, measured) for name, some in baselines.items()},
        groups=_groups(examples, measured),
        tokenize="char" if _is_without_blanks(references) else "13a",
    )
    found = model.evaluate(examples, return_dict=True, **rest)
    metrics |= {name: found[name] for name in ("loss", "accuracy", "perplexity") if name in found}
    metrics |= {
        "unigram_perplexity": _unigram_perplexity(model, train, examples),
        "num_without_reference": len(references) - len(measured),
        "sampler": {"class": type(sampler).__name__, **sampler.get_config()},
        "max_length": model.check_length(max_length),
    }
    return metrics, _rows(model, examples, written, references)


def as_written(model, texts):
    """Texts as the model could write them: folded as its tokenizer folds them, single blanks.

    Args:
        model: a `Captioner` or `Translator`.
        texts: list of str.

    Returns:
        List of str.
    """
    tokenizer, found = model.target_preprocessor.tokenizer, tf.constant(texts, tf.string)
    if getattr(tokenizer, "strip_accents", False):
        found = tensorflow_text.normalize_utf8(found, "NFD")
        found = tf.strings.regex_replace(found, r"\p{Mn}", "")
    if getattr(tokenizer, "lowercase", False):
        found = tensorflow_text.case_fold_utf8(found)  # "ß" becomes "ss"
    return [" ".join(text.decode().split()) for text in found.numpy()]


def column_of(examples, name):
    """One column of texts of a data set, as a list of str."""
    rows = getattr(examples, "rows", None)
    if rows is not None and name in rows:
        return rows[name].tolist()
    texts = examples.map(lambda x, *_: x[name]).as_numpy_iterator()
    return [text.decode("utf-8", "replace") for text in texts]


def _baselines(model, examples, train, rest):
    """The baselines' texts, as the model could write them."""
    (source,) = model.encoders
    sources = [column_of(some, "text") for some in (train, examples)] if source == "text" else None
    if sources is None:
        features = [_mean_tokens(model, some, rest) for some in (train, examples)]
    else:
        features = [_trigrams(some) for some in sources]
    targets = as_written(model, column_of(train, model.target))
    taught = [row for row, text in enumerate(targets) if text]
    found = generation_baselines(
        _at(targets, taught),
        len(features[1]),
        train_features=features[0][taught],
        features=features[1],
        sources=sources and sources[1],
    )
    return {name: as_written(model, texts) for name, texts in found.items()}


def _mean_tokens(model, examples, rest):
    """Floats (N, D): of each example the mean of the tokens that the decoder attends to."""

    @tf.function(reduce_retracing=True)
    def mean(batch):
        tokens, mask = model.memory(model.encode(batch, training=False))
        mask = tf.cast(mask, tokens.dtype)[..., tf.newaxis]
        return tf.math.divide_no_nan(tf.reduce_sum(tokens * mask, 1), tf.reduce_sum(mask, 1))

    batches = source_batches(model, examples, **rest)
    means = [keras.ops.convert_to_numpy(mean(batch)) for batch in batches]
    return np.concatenate(means).astype(np.float32)


def _trigrams(texts):
    """Floats (N, places): how often each text has trigrams that hash to a place."""
    counts = np.zeros((len(texts), _PLACES), np.float32)
    for row, text in enumerate(texts):
        padded = f"  {text.lower()} " if text.strip() else ""
        for start in range(len(padded) - 2):
            counts[row, zlib.crc32(padded[start : start + 3].encode()) % _PLACES] += 1
    return counts


def _unigram_perplexity(model, train, examples):
    """Of the tokens that the model's perplexity is of, the end of each text among them."""
    preprocessor, counted = model.target_preprocessor, []
    for some in (train, examples):
        found = preprocessor.text_tensors(tf.constant(column_of(some, model.target)))
        lengths = found["padding_mask"].numpy().sum(1)
        pairs = zip(found["token_ids"].numpy(), lengths, strict=True)
        counted.append([ids[1:length].tolist() for ids, length in pairs])
    return unigram_perplexity(*counted, preprocessor.tokenizer.vocabulary_size())


def _rows(model, examples, written, references):
    import sacrebleu.metrics

    chrf = sacrebleu.metrics.CHRF()
    more = {"source": column_of(examples, "text")} if "text" in model.encoders else {}
    rows = []
    for place, (one, reference) in enumerate(zip(written, references, strict=True)):
        score = chrf.sentence_score(one.text, [reference]).score if reference else None
        row = {"id": str(examples.ids[place])} | {key: some[place] for key, some in more.items()}
        row |= {"text": one.text, "reference": reference, "log_prob": one.log_prob}
        rows.append(row | {"chrf": score})
    return rows


def _groups(examples, measured):
    rows = getattr(examples, "rows", None)
    return None if rows is None or "group" not in rows else _at(rows["group"].tolist(), measured)


def _at(values, places):
    return [values[place] for place in places]


def _is_without_blanks(texts):
    """Whether most letters are of a script that does not divide words by blanks."""
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    found = sum(unicodedata.name(letter, "").startswith(_WITHOUT_BLANKS) for letter in letters)
    return 2 * found > len(letters)
