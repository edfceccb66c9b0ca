"""Every part of the zoo trains in a step that XLA compiles whole: what a TPU needs, on a CPU.

Not run on a TPU. A step is compared with the same step without XLA.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import tree

from tatl_keras import fusion, models, zoo
from tatl_keras.fusion.registry import NAMES
from tests.encoders import cases

ROWS, LENGTH, CLASSES, SIDE = 4, 7, 3, 32
# Image encoder, text encoder, fusion, further arguments.
PARTS = {
    "cross": ("test_vit", "test_text", "cross", {"modality_dropout": 0.5}),
    "film": ("resnet", "lstm", "film", {}),
    "gated": ("test_sasa", "embed", "gated", {}),
    "joint": ("test_siglip", "test_siglip_text", "joint", {}),
    "bilinear": ("test_image", "transformer", "bilinear", {}),
    "no_harm": ("test_clip", "test_clip_text", "no_harm", {}),
    "concat": ("test_clip", "distil_bert", "concat", {}),
    "image_only": ("test_clip", None, "image_only", {}),
    "text_only": (None, "test_clip_text", "text_only", {}),
    "class_texts": ("test_siglip", None, "image_only", {"head": "class_texts"}),
    "taught": ("test_clip", "embed", "image_only", {"alignment_weight": 0.3}),
}
LARGE = ("concat", "image_only", "text_only")
_TINY = {"vit": "test_vit", "sasa": "test_sasa", "clip": "test_clip", "siglip": "test_siglip"}


@pytest.fixture(autouse=True)
def same_draws(monkeypatch):
    """Draws by integer arithmetic: XLA makes other numbers of a seed than TensorFlow does."""

    def uniform(shape, seed, minval=0.0, maxval=1.0, dtype="float32"):
        places = tf.range(tf.reduce_prod(shape), dtype="int64")
        bits = (places * 2654435761 + tf.cast(tf.reduce_sum(seed), "int64") * 40503) % 2**31
        bits = (bits * 48271 + 11) % (2**31 - 1)
        draws = tf.cast(tf.reshape(bits, shape), "float32") / 2.0**31
        return tf.cast(minval + draws * (maxval - minval), dtype)

    def dropout(x, rate, seed, noise_shape=None):
        shape = tf.shape(x) if noise_shape is None else noise_shape
        return tf.where(uniform(shape, seed) >= rate, x / (1 - rate), tf.zeros_like(x))

    monkeypatch.setattr(tf.random, "stateless_uniform", uniform)
    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", dropout)


def of_parts(name, head=None):
    """One of `PARTS`, with small encoders of each kind."""
    image, text, identifier, options = PARTS[name]
    encoders = [part and cases.ALL[part]() for part in (image, text)]
    options = options | {"head": head or options.get("head")}
    if options["head"] == "class_texts":
        options["head"] = models.ClassTextHead(CLASSES, 5, name="head")
    joins = None not in (image, text) and identifier != "image_only"
    joined = fusion.get(identifier, **({"seed": 2} if joins else {}))
    taught = "alignment_weight" in options
    kind = models.TextSupervisedClassifier if taught else models.TextAssistedClassifier
    model = kind(*encoders, joined, CLASSES, **options)
    if isinstance(model.head, models.ClassTextHead):
        model.head.embed(np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0][:CLASSES])
    return model


def of_zoo(name):
    """An entry, its pretrained encoders replaced by tiny ones."""
    spec, tiny = zoo.spec(name), {}
    family = (spec.image or "").split("_")[0]
    if spec.image and not spec.image.startswith("test_"):
        tiny["image"] = _TINY.get(family, "test_image")
    if spec.text and spec.text not in ("lstm", "embed") and not spec.text.startswith("test_"):
        tiny["text"] = f"test_{family}_text" if family in ("clip", "siglip") else "test_text"
    names = [f"class {number}" for number in range(CLASSES)]
    return zoo.build(name, CLASSES, seed=0, sequence_length=LENGTH, class_names=names, **tiny)


def batches(model):
    """One batch of every kind of row, all of its shapes known."""
    rng, x = np.random.default_rng(0), {}
    if model.image_encoder is not None:
        x["images"] = rng.random((ROWS, SIDE, SIDE, 3), "float32")
        x["has_image"] = np.array([1, 1, 0, 0], "int32")
    if model.text_encoder is not None:
        x["token_ids"] = rng.integers(5, 31, (ROWS, LENGTH)).astype("int32")
        x["padding_mask"] = (np.arange(LENGTH) < [[LENGTH], [4], [5], [0]]).astype("int32")
        x["has_text"] = np.array([1, 1, 1, 0], "int32")
    y = np.array([0, 1, 2, 1], "int32")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(ROWS, drop_remainder=True)


def trained(make, jit_compile):
    """What `fit` makes of a model in one step: the model, its loss, each variable's change."""
    keras.utils.set_random_seed(3)
    model = make()
    rng = np.random.default_rng(4)
    for weight in model.trainable_variables:  # heads start at 0, which would hide what is below
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    how = {"jit_compile": True} if jit_compile else {"run_eagerly": True, "jit_compile": False}
    model.compile(keras.optimizers.SGD(0.1), **how)
    given = batches(model)
    assert None not in tree.flatten(
        [tuple(spec.shape) for spec in tree.flatten(given.element_spec)]
    )
    before = [np.asarray(variable, "float32") for variable in model.variables]
    assert model.jit_compile is jit_compile
    (loss,) = model.fit(given, shuffle=False, verbose=0).history["loss"]
    assert model.jit_compile is jit_compile
    changes = [
        np.asarray(variable, "float32") - value
        for variable, value in zip(model.variables, before, strict=True)
    ]
    return model, loss, changes


def check(make, tolerance=1e-4):
    model, loss, changes = trained(make, jit_compile=True)
    _, expected, expected_changes = trained(make, jit_compile=False)
    np.testing.assert_allclose(loss, expected, rtol=tolerance)
    moved = [change.any() for change in expected_changes]
    learning = {id(variable) for variable in model.trainable_variables}
    assert any(m and id(v) in learning for m, v in zip(moved, model.variables, strict=True))
    for variable, change, other in zip(model.variables, changes, expected_changes, strict=True):
        room = tolerance * max(np.abs(other).max(initial=0), 1e-3)
        np.testing.assert_allclose(change, other, atol=10 * room, err_msg=variable.path)
    assert model.prior.counts.numpy().tolist() == [1, 2, 1]
    return model


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.large] if n in LARGE else []) for n in PARTS]
)
def test_a_step_that_xla_compiles_is_the_same_step(name):
    check(functools.partial(of_parts, name))


@pytest.mark.parametrize("name", ["film", pytest.param("cross", marks=pytest.mark.large)])
def test_in_bfloat16(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = check(functools.partial(of_parts, name), tolerance=2e-2)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


def test_every_fusion_and_encoder_is_there():
    assert {name for _, _, name, _ in PARTS.values()} == set(NAMES)
    images, texts, _, _ = zip(*PARTS.values(), strict=True)
    assert set(images) - {None} == set(cases.IMAGE) - {"test_sasa_full"}
    assert set(texts) - {None} == set(cases.TEXT)


@pytest.mark.filterwarnings("ignore")
def test_what_runs_on_the_host_does_not_compile():
    class OnHost(keras.layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], x.dtype), x.shape)

    model = of_parts("text_only", keras.Sequential([OnHost(), keras.layers.Dense(CLASSES)]))
    model.compile("sgd", jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="(?i)unsupported|uncompilable|XLA"):
        model.fit(batches(model), verbose=0)


@pytest.mark.large
@pytest.mark.parametrize("name", zoo.list_models(task="classify"))
def test_a_step_of_every_entry(name):
    check(functools.partial(of_zoo, name))


@pytest.mark.large
@pytest.mark.parametrize("name", ["cross", "film", "bilinear", "no_harm", "concat", "joint"])
def test_a_step_of_encoders_that_learn_too(name):
    def make():
        model = of_parts(name)
        for encoder in model.encoders.values():
            if encoder.frozen:
                encoder.unfreeze()
        return model

    check(make, tolerance=1e-3)
