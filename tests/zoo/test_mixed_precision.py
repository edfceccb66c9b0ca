"""Every kind of model under Keras's mixed precision policies."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, training, zoo
from tatl_keras.features import keys

POLICIES = ("mixed_bfloat16", "mixed_float16")
# Every kind of encoder, fusion and head under one of the policies.
MODELS = {
    "test_clip_class_texts": "mixed_bfloat16",
    "test_efficientnet_bert_bilinear": "mixed_float16",
    "test_efficientnet_bert_cross": "mixed_bfloat16",
    "test_efficientnet_bert_film": "mixed_float16",
    "test_efficientnet_bert_joint": "mixed_float16",
    "test_efficientnet_bert_no_harm": "mixed_bfloat16",
    "test_efficientnet_lstm_concat": "mixed_float16",
    "test_siglip_class_texts": "mixed_float16",
    "test_vit_bert_cross": "mixed_float16",
}


def compute_dtypes(layers):
    return {layer.compute_dtype for layer in layers._flatten_layers()}


@pytest.mark.large
@pytest.mark.parametrize("name", MODELS)
def test_all_kinds_of_models_learn_and_are_exported(name, tmp_path):
    policy = MODELS[name]
    whole = zoo.build(name, 2, seed=0)
    keras.config.set_dtype_policy(policy)
    model = zoo.build(name, 2, seed=0)
    examples = data.synthetic.examples(2, 8, seed=0)
    for one in (whole, model):
        keras.utils.set_random_seed(0)
        history = one.fit(examples, batch_size=4, epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
    check_precision(model, policy)
    logits, want = (one.predict(examples, verbose=0) for one in (model, whole))
    assert logits.dtype == "float32" and logits.any()
    unit = 2**-8 if policy == "mixed_bfloat16" else 2**-11
    np.testing.assert_allclose(logits, want, atol=16 * unit * max(1, np.abs(want).max()))
    model.export(tmp_path / "exported")
    served = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    floats = {spec.dtype.name for spec in served.structured_outputs.values()} - {"string", "int32"}
    assert floats == {"float32"}


def check_precision(model, policy):
    """Computes in half precision, learns and answers in float32."""
    assert model.dtype_policy.name == policy
    assert policy.removeprefix("mixed_") in compute_dtypes(model)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.head.compute_dtype == "float32"
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_saved_model_keeps_its_precision_and_goes_on_alike(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = zoo.build("test_efficientnet_bert_gated", 2, seed=0, image_size=(24, 24))
    model.compile(training.make_optimizer(model, steps=4, learning_rate_schedule="cosine"))
    examples = data.synthetic.examples(2, 6, seed=0)
    options = {"batch_size": 3, "shuffle": False, "verbose": 0}
    model.fit(examples, **options)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")  # another process
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        check_precision(one, policy)
        loss = one.fit(examples, **options).history["loss"]
        assert np.isfinite(loss).all()
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 4
    pairs = zip(training.trained_weights(loaded), training.trained_weights(model), strict=True)
    for got, want in pairs:
        np.testing.assert_array_equal(got, want)


def test_features_of_other_precision_have_another_name(tmp_path):
    examples, names = data.synthetic.examples(2, 2, seed=0), set()
    for policy in ("float32", *POLICIES):
        keras.config.set_dtype_policy(policy)
        model = zoo.build("test_efficientnet_image_only", 2, seed=0)
        counts = training.encode(examples, model, tmp_path / "features", verbose=0).counts
        assert counts["image"] == {"encoded": 2, "found": 0}
        names.add(keys.identify(keys.describe("image", model.image_encoder)))
    assert len(names) == 3
