"""Tiny encoders, what prepares their inputs, and a short way to encode."""

import keras_hub
import pytest
import tensorflow as tf

from tatl_keras import data, encoders, training

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "cat", "dog", "a", "##s"]
LENGTH = 40  # tokens: longer than the shortest that texts are encoded at


@pytest.fixture(scope="session")
def image():
    return encoders.build_image("test_image")[0]


@pytest.fixture(scope="session")
def text():
    return encoders.build_text("test_text")[0]


@pytest.fixture(scope="session")
def preprocessor():
    tokenizer = keras_hub.models.BertTokenizer(WORDS, lowercase=True)
    return data.Preprocessor(encoders.build_image("test_image")[1], tokenizer, LENGTH)


@pytest.fixture(scope="session")
def encode(image, text, preprocessor):
    """`encode(x, …)` of a dict of columns, or of a data set, with both tiny encoders."""

    def encode(x, cache="memory", *, tokens=False, y=None, sample_weight=None, **options):
        if not isinstance(x, tf.data.Dataset):
            parts = [part for part in (x, y, sample_weight) if part is not None]
            x = tf.data.Dataset.from_tensor_slices(tuple(parts) if len(parts) > 1 else x)
        names = x.element_spec[0] if isinstance(x.element_spec, tuple) else x.element_spec
        chosen = {"image": image} if {"image", "images"} & set(names) else {}
        chosen |= {"text": text} if {"text", "token_ids"} & set(names) else {}
        parts = ("pooled", "tokens", "mask") if tokens else ("pooled",)
        uses = [f"{modality}_{part}" for modality in chosen for part in parts]
        uses += [f"has_{modality}" for modality in chosen]
        options = {"encoders": chosen, "preprocessor": preprocessor, "uses": uses} | options
        return training.encode(x, options.pop("encoders"), cache, verbose=0, **options)

    return encode


@pytest.fixture
def pictures(rng):
    """Pixels of five different pictures."""
    return rng.integers(0, 256, (5, 12, 10, 3), "uint8")
