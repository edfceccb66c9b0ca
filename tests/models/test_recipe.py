"""`training.make_optimizer`: rates and clipping against NumPy, and what suits which model."""

import keras
import numpy as np
import pytest

from tatl_keras import training, zoo

STEPS = 40


def model_of_pictures(pretrained=True):
    """With an encoder whose weights are taken to be those of a preset, a block unfrozen."""
    model = zoo.build("test_efficientnet_image_only", 3, seed=0)
    model.image_encoder.preset = "a_preset" if pretrained else None
    model.image_encoder.unfreeze(last_n=1)
    return model


def rates(optimizer, steps=STEPS):
    """The rate of each step, as the optimizer itself says when it has made so many."""
    found = []
    for step in range(steps):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return np.array(found)


def expected(rate, warmup, cosine):
    steps = np.arange(STEPS, dtype="float64")
    after = (1 + np.cos(np.pi * (steps - warmup) / (STEPS - warmup))) / 2 if cosine else 1.0
    return np.where(steps < warmup, rate * (steps + 1) / (warmup + 1), rate * after)


def test_a_pretrained_encoder_learns_with_warm_up_cosine_and_clipping():
    optimizer = training.make_optimizer(model_of_pictures(), steps=STEPS)
    assert type(optimizer) is keras.optimizers.Adam and optimizer.global_clipnorm == 1.0
    np.testing.assert_allclose(rates(optimizer), expected(1e-4, 4, True), rtol=1e-5)


def test_everything_else_learns_as_compile_says():
    frozen = zoo.build("test_efficientnet_image_only", 3)
    random = model_of_pictures(pretrained=False)
    random.compile()
    for model, rate in ((frozen, 0.002), (random, 1e-3)):
        optimizer = training.make_optimizer(model, steps=STEPS)
        assert type(optimizer) is type(model.optimizer)
        assert optimizer.get_config() == model.optimizer.get_config() | {"name": optimizer.name}
        np.testing.assert_allclose(rates(optimizer, 2), rate, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0, 7])
def test_what_is_asked_for_wins(schedule, warmup):
    options = {"learning_rate": 0.3, "learning_rate_schedule": schedule, "warmup_steps": warmup}
    optimizer = training.make_optimizer(model_of_pictures(), steps=STEPS, clip_norm=None, **options)
    assert optimizer.global_clipnorm is None
    want = expected(0.3, warmup, schedule == "cosine")
    np.testing.assert_allclose(rates(optimizer), want, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_all_weights_is_clipped_together(rng):
    model = zoo.build("test_efficientnet_image_only", 3, seed=0)
    x = {"image_pooled": rng.normal(size=(6, 24)).astype("float32"), "has_image": np.ones(6, int)}
    y = np.array([0, 0, 0, 1, 1, 2])
    options = {"steps": 1, "learning_rate": 1.0, "clip_norm": 0.25}
    model.compile(training.make_optimizer(model, **options))
    model.fit(x, y, batch_size=6, verbose=0)
    pooled = x["image_pooled"].astype("float64")
    pooled = 16 * pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    wrong = (1 / 3 - np.eye(3)[y]) / 6  # gradient of the mean cross-entropy at logits of zero
    kernel, bias = pooled.T @ wrong, wrong.sum(axis=0)
    norm = np.sqrt((kernel**2).sum() + (bias**2).sum())
    assert norm > 0.25
    # Nesterov's first step is 1 + 0.9 times the gradient.
    for got, gradient in zip(model.trainable_variables, (kernel, bias), strict=True):
        np.testing.assert_allclose(got.numpy(), -1.9 * gradient * 0.25 / norm, atol=1e-6)


def test_a_schedule_survives_saving_and_goes_on(tmp_path, rng):
    x = {"image_pooled": rng.normal(size=(8, 24)).astype("float32"), "has_image": np.ones(8, int)}
    y, options = np.arange(8) % 3, {"batch_size": 4, "shuffle": False, "verbose": 0}
    recipe = {"steps": 8, "learning_rate_schedule": "cosine", "clip_norm": 0.5}
    model = zoo.build("test_efficientnet_image_only", 3, seed=0)
    model.compile(training.make_optimizer(model, **recipe))
    model.fit(x, y, epochs=2, **options)
    model.save(tmp_path / "half.keras")
    model.fit(x, y, epochs=2, **options)
    resumed = keras.models.load_model(tmp_path / "half.keras")
    assert resumed.optimizer.global_clipnorm == 0.5
    resumed.fit(x, y, epochs=2, **options)
    pairs = zip(training.trained_weights(resumed), training.trained_weights(model), strict=True)
    for got, want in pairs:
        np.testing.assert_array_equal(got, want)
    assert float(resumed.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "`steps` .* steps=0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be a number of at least 0. .*-1.0"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"),
        ({"learning_rate_schedule": "linear"}, "'auto', 'constant', 'cosine'.*'linear'"),
        ({"warmup_steps": STEPS}, f"from 0 to less than steps={STEPS}. .*warmup_steps={STEPS}"),
        ({"warmup_steps": 0.5}, "warmup_steps=0.5"),
        ({"clip_norm": 0}, "`clip_norm` must be a number above 0. .*clip_norm=0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        training.make_optimizer(model_of_pictures(), **{"steps": STEPS} | options)
