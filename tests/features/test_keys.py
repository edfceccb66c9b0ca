"""Whatever decides a feature changes its key; whatever does not, leaves it."""

import copy
import hashlib
import inspect
import itertools
import json

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, encoders
from tatl_keras.features import FeatureCache, keys

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "cat", "##s"]


@pytest.fixture(scope="module")
def image():
    return encoders.build_image("test_image")[0]


@pytest.fixture(scope="module")
def text():
    return encoders.build_text("test_text")[0]


def converter(**options):
    options = {"image_size": (32, 32), "scale": 1 / 255, "crop_to_aspect_ratio": False} | options
    return keras_hub.layers.ImageConverter(**options)


def tokenizer(**options):
    options = {"vocabulary": WORDS, "special_tokens": WORDS[:5]} | options
    return keras_hub.tokenizers.WordPieceTokenizer(**options)


def image_space(encoder, cache=None, augmented=False, **options):
    cache = cache or FeatureCache()
    preprocessor = data.Preprocessor(converter(**options))
    return [s.id for s in cache.spaces("image", encoder, preprocessor, ("pooled",), augmented)]


def text_space(encoder, sequence_length=8, **options):
    preprocessor = data.Preprocessor(None, tokenizer(**options), sequence_length)
    return FeatureCache().spaces("text", encoder, preprocessor, ("pooled",))[0].id


def flipped(values, rng):
    """A copy of an array with one bit of it changed."""
    changed = np.array(values)
    flat = changed.reshape(-1).view(np.uint8)
    flat[rng.integers(flat.size)] ^= 1 << rng.integers(8)
    return changed


@pytest.mark.parametrize("modality", ["image", "text"])
def test_sixty_bits_of_weights(modality, image, text, rng):
    encoder, space = (image, image_space) if modality == "image" else (text, text_space)
    seen = {str(space(encoder))}
    for _ in range(60):
        weight = encoder.weights[rng.integers(len(encoder.weights))]
        before = weight.numpy()
        weight.assign(flipped(before, rng))
        assert weight.numpy().tobytes() != before.tobytes()
        identity = str(space(encoder))
        weight.assign(before)
        assert identity not in seen, f"one bit of {weight.path} does not count"
        seen.add(identity)
    assert str(space(encoder)) in seen and len(seen) == 61


# Another value for every argument of the constructor; None: it does not change what comes out.
CONVERTER = {
    "image_size": (32, 33),
    "scale": np.nextafter(1 / 255, 1),
    "offset": [0.0, 0.0, 1e-7],
    "crop_to_aspect_ratio": True,
    "pad_to_aspect_ratio": True,
    "interpolation": "nearest",
    "antialias": True,
    "bounding_box_format": None,
    "data_format": None,  # encoders take channels last only
    "dtype": "float16",
}
TOKENIZER = {
    "vocabulary": [*WORDS[:5], "green", "red", *WORDS[7:]],
    "sequence_length": 7,
    "lowercase": True,
    "strip_accents": True,
    "split": False,
    "split_on_cjk": False,
    "suffix_indicator": "@@",
    "oov_token": "[PAD]",
    "special_tokens": WORDS[:4],
    "special_tokens_in_strings": True,
    "dtype": "int64",
}


def constructor(layer):
    names = [*inspect.signature(layer.__init__).parameters, "dtype"]
    return set(names) - {"self", "kwargs"}


@pytest.mark.parametrize(
    ("layer", "values", "make"),
    [
        (keras_hub.layers.ImageConverter, CONVERTER, image_space),
        (keras_hub.tokenizers.WordPieceTokenizer, TOKENIZER, text_space),
    ],
    ids=["converter", "tokenizer"],
)
def test_every_argument_of_the_preprocessing_counts(layer, values, make, image, text):
    encoder = image if make is image_space else text
    assert constructor(layer) == set(values), "what does a new argument do to the features?"
    seen = [str(make(encoder))]
    for name, value in values.items():
        if value is not None:
            seen.append(str(make(encoder, **{name: value})))
    assert len(set(seen)) == len(seen)
    assert str(make(encoder)) == seen[0]


def test_vocabularies_one_letter_apart(text):
    variants = [WORDS, [*WORDS, "dog"], [*WORDS[:-1], "##x"], WORDS[:-1], [*WORDS[:-2], "cat\n##s"]]
    assert len({text_space(text, vocabulary=words) for words in variants}) == len(variants)
    assert len({text_space(text, length) for length in (7, 8, 9)}) == 3


def test_options_of_the_cache(image):
    augmentations = [
        keras.layers.RandomFlip("horizontal", seed=1),
        keras.layers.RandomFlip("horizontal", seed=2),
        keras.layers.RandomFlip("vertical", seed=1),
        keras.layers.RandomRotation(0.1, seed=1),
        keras.layers.RandomRotation(0.2, seed=1),
        keras.Sequential([keras.layers.RandomFlip("horizontal", seed=1)]),
    ]
    caches = [
        FeatureCache(),
        FeatureCache(dtype="float16"),
        FeatureCache(dtype="bfloat16"),
        FeatureCache(compute_dtype="float32"),
        FeatureCache(compute_dtype="bfloat16"),
        FeatureCache(jit_compile=True),
    ]
    plain = [identity for cache in caches for identity in image_space(image, cache)]
    views = [
        identity
        for layer in augmentations
        for identity in image_space(image, FeatureCache(augmentation=layer, views=3), True)
    ]
    assert len(views) == 18 and len(set(plain + views)) == 24
    # Neither where features are kept, nor how many views there are, nor evaluating changes a view.
    layer = keras.layers.RandomFlip("horizontal", seed=1)
    cache = FeatureCache("elsewhere", augmentation=layer, views=2, memory_gb=0)
    assert image_space(image, cache, True) == views[:2]
    assert image_space(image, cache, False) == plain[:1]


def test_dtype_policy_and_architecture(image):
    half = encoders.build_image("test_image", dtype="mixed_bfloat16")[0]
    other = encoders.build_image("test_vit")[0]
    assert len({str(image_space(encoder)) for encoder in (image, half, other)}) == 3


def test_what_does_not_decide_features_does_not_count(image):
    before = image_space(image)
    preset, image.preset = image.preset, "moved/elsewhere"
    try:
        assert image_space(image) == before
    finally:
        image.preset = preset
    twin = encoders.build_image("test_image")[0]  # equal weights, other names of layers
    assert image_space(twin) == before
    assert image_space(image, name="another_name") == before


def test_every_value_of_a_description_counts(text):
    preprocessor = data.Preprocessor(None, tokenizer(), 8)
    described = keys.describe("text", text, preprocessor, dtype="float32", view=0)
    counted = copy.deepcopy(described)
    del counted["encoder"]["preset"]
    by_hand = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
    assert keys.identify(described) == by_hand
    assert set(described["versions"]) == {"keras", "keras-hub", "tensorflow", "tensorflow-text"}
    seen = {by_hand}
    for path in [("encoder", "version"), ("preprocessing", "version"), ("versions", "keras")]:
        changed = copy.deepcopy(described)
        changed[path[0]][path[1]] = "2"
        seen.add(keys.identify(changed))
    assert len(seen) == 4


def test_sixty_bits_of_data(rng):
    png = tf.io.encode_png(rng.integers(0, 256, (8, 8, 3), "uint8")).numpy()
    originals = [
        np.frombuffer(png, "uint8"),
        rng.integers(0, 256, (4, 5, 3), "uint8"),
        rng.normal(size=(4, 5, 3)).astype("float32"),
    ]
    for original, number in itertools.product(originals, range(20)):
        changed = flipped(original, rng)
        as_value = (lambda array: array.tobytes()) if original.ndim == 1 else (lambda array: array)
        assert keys.row_key(as_value(changed)) != keys.row_key(as_value(original)), number
        assert keys.row_key(as_value(original.copy())) == keys.row_key(as_value(original))


def test_values_that_hold_the_same_bytes_differ():
    pixels = np.arange(24, dtype="uint8").reshape(2, 4, 3)
    ids = np.arange(4, dtype="int32")
    values = [pixels, pixels.reshape(4, 2, 3), pixels.view("int8"), pixels.tobytes()]
    values += [b"", b"\0", "a", "ä", ids, {"token_ids": ids}]
    values += [{"token_ids": ids, "padding_mask": ids[::-1]}]
    values += [{"token_ids": ids[::-1], "padding_mask": ids}]
    assert len({keys.row_key(value) for value in values}) == len(values)
    assert keys.row_key("ä") == keys.row_key("ä".encode())
    assert keys.row_key(np.asfortranarray(pixels)) == keys.row_key(pixels)
