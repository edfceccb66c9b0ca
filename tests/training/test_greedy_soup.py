"""`greedy_soup` and `EpochSoup`: what is averaged, what is chosen, and going on after a stop."""

import keras
import numpy as np
import pytest

from tatl_keras import data, training, zoo

ROWS, CHANNELS, CLASSES = 40, 24, 3


@pytest.fixture
def held_out(rng):
    """Features of pictures whose classes overlap, and their labels."""
    y = rng.integers(0, CLASSES, ROWS)
    x = rng.normal(size=(ROWS, CHANNELS)).astype("float32") + 0.7 * np.eye(CLASSES, CHANNELS)[y]
    return {"image_pooled": x.astype("float32"), "has_image": np.ones(ROWS, np.int32)}, y


def model_of_pictures():
    return zoo.build("test_efficientnet_image_only", CLASSES, seed=0)


def random_ingredients(rng, count, noise=1.5):
    """Kernels near one that is right, and biases."""
    kernel = np.eye(CHANNELS, CLASSES)
    return [
        [kernel + noise * rng.normal(size=kernel.shape), noise * rng.normal(size=CLASSES)]
        for _ in range(count)
    ]


def soup_by_numpy(ingredients, x, y):
    """Recipe 1 of Wortsman et al. in float64, with each average taken anew."""
    pooled = x["image_pooled"].astype("float64")
    pooled = 16 * pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def measure(places):
        kernel, bias = (np.mean([ingredients[p][i] for p in places], axis=0) for i in (0, 1))
        logits = pooled @ kernel + bias
        top = logits.max(axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
        loss = np.mean(log_sum - logits[np.arange(len(y)), y])
        return np.mean(logits.argmax(axis=1) == y), -loss

    alone = [measure([place]) for place in range(len(ingredients))]
    order = sorted(range(len(ingredients)), key=lambda place: alone[place], reverse=True)
    soup = order[:1]
    for place in order[1:]:
        if measure([*soup, place])[0] >= measure(soup)[0]:
            soup.append(place)
    return soup, measure(soup)[0], [accuracy for accuracy, _ in alone]


@pytest.mark.parametrize("seed", range(2))
def test_the_choice_is_that_of_the_recipe(held_out, seed):
    x, y = held_out
    ingredients = random_ingredients(np.random.default_rng(seed), 6)
    model = model_of_pictures()
    found = training.greedy_soup(model, ingredients, held_out)
    chosen, accuracy, alone = soup_by_numpy(ingredients, x, y)
    assert found["chosen"] == chosen and 1 <= len(chosen) < 6
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["alone"] == pytest.approx(alone)
    assert found["accuracy"] >= max(found["alone"])
    for got, place in zip(training.trained_weights(model), (0, 1), strict=True):
        want = np.mean([ingredients[p][place] for p in chosen], axis=0)
        np.testing.assert_allclose(got, want, atol=1e-6)
    logs = model.evaluate(x, y, return_dict=True, verbose=0)
    assert logs["accuracy"] == found["accuracy"] and logs["loss"] == found["loss"]


def test_files_of_runs_are_ingredients(held_out, rng, tmp_path):
    model, ingredients, paths = model_of_pictures(), random_ingredients(rng, 3), []
    for number, arrays in enumerate(ingredients):
        for variable, array in zip(model.trainable_variables, arrays, strict=True):
            variable.assign(array)
        paths.append(tmp_path / f"{number}.keras")
        model.save(paths[-1])
    found = training.greedy_soup(model, paths, held_out)
    weights = training.trained_weights(model)
    assert found == training.greedy_soup(model, ingredients, held_out)
    for got, want in zip(weights, training.trained_weights(model), strict=True):
        np.testing.assert_array_equal(got, want)


def test_what_learns_is_kept_with_its_statistics_and_nothing_else():
    model = zoo.build("test_efficientnet_bert_gated", CLASSES, seed=0)
    assert len(training.trained_weights(model)) == len(model.trainable_variables)
    model.image_encoder.unfreeze(last_n=1)
    model.compile()
    moving = [
        variable
        for layer in model.image_encoder._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    assert moving
    learn = [*model.trainable_variables, *moving]
    for got, want in zip(training.trained_weights(model), learn, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want.numpy())
    before = {variable.path: variable.numpy() for variable in model.variables}
    examples = data.synthetic.examples(CLASSES, 8)
    model.fit(examples, epochs=1, verbose=0)
    changed = {v.path for v in model.variables if (v.numpy() != before[v.path]).any()}
    counted = {v.path for v in model.variables if v.path.endswith(("counts", "generator_state"))}
    counted |= {variable.path for variable in model.optimizer.variables}
    assert changed - counted <= {variable.path for variable in learn}


@pytest.mark.parametrize(
    ("ingredients", "options", "message"),
    [
        ([], {}, r"`ingredients` must hold weights .* Received: ingredients=\[\]"),
        ([[np.zeros((2, 3))]], {}, r"must hold 2 arrays each.*1 arrays, \(2, 3\) in place of \(24"),
        ([[np.zeros((24, 3)), np.zeros(3)]], {"monitor": "f1"}, "one of .*'loss'.*monitor='f1'"),
    ],
)
def test_errors(held_out, ingredients, options, message):
    with pytest.raises(ValueError, match=message):
        training.greedy_soup(model_of_pictures(), ingredients, held_out, **options)


def compiled():
    """Learns by large steps, so that epochs differ."""
    model = model_of_pictures()
    model.compile(keras.optimizers.SGD(0.3))
    return model


def fit(model, held_out, epochs, *callbacks):
    x, y = held_out
    rows = {name: column[::2] for name, column in x.items()}
    history = model.fit(
        rows, y[::2], batch_size=5, shuffle=False, epochs=epochs, verbose=0,
        validation_data=held_out, callbacks=callbacks,
    )  # fmt: skip
    return history.history


def test_a_training_ends_with_the_soup_of_its_best_epochs(held_out):
    soup, kept = training.EpochSoup(held_out, keep=4), []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(training.trained_weights(record.model))
    )
    model = compiled()
    history = fit(model, held_out, 8, record, soup)
    scores = list(zip(history["val_accuracy"], np.negative(history["val_loss"]), strict=True))
    best = sorted(range(8), key=scores.__getitem__, reverse=True)[:4]
    assert soup.soup["kept"] == sorted(epoch + 1 for epoch in best)
    assert max(soup.soup["alone"]) == max(history["val_accuracy"])
    assert soup.soup["accuracy"] >= max(history["val_accuracy"]) > min(history["val_accuracy"])
    for place, got in enumerate(training.trained_weights(model)):
        want = np.mean([kept[epoch - 1][place] for epoch in soup.soup["epochs"]], axis=0)
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_going_on_after_a_kill_gives_the_same_soup(held_out, tmp_path):
    whole, want = training.EpochSoup(held_out, keep=3), compiled()
    fit(want, held_out, 6, whole)

    def run(model, dies_in=None):
        def die(epoch, logs):
            if epoch == dies_in:
                raise KeyboardInterrupt

        soup, bomb = training.EpochSoup(held_out, keep=3), keras.callbacks.LambdaCallback(die)
        backup = training.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        fit(model, held_out, 6, soup, bomb, backup)
        return soup

    with pytest.raises(KeyboardInterrupt):
        run(compiled(), dies_in=4)
    for _ in ("goes on", "has ended, and is asked for once more"):
        model = compiled()
        assert run(model).soup == whole.soup
        for got, expected in zip(model.get_weights(), want.get_weights(), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_epochs_need_validation_data(held_out):
    x, y = held_out
    with pytest.raises(ValueError, match="`validation_data` must be given to `fit` too.*accuracy"):
        model_of_pictures().fit(x, y, verbose=0, callbacks=[training.EpochSoup(held_out)])
    with pytest.raises(ValueError, match="keep=0"):
        training.EpochSoup(held_out, keep=0)


def test_two_replicas_choose_what_one_device_chooses(two_devices, held_out, rng):
    ingredients = random_ingredients(rng, 3)
    want = training.greedy_soup(model_of_pictures(), ingredients, held_out)
    with two_devices.scope():
        model = model_of_pictures()
    found = training.greedy_soup(model, ingredients, held_out, batch_size=ROWS)
    assert found["chosen"] == want["chosen"]
    for place, got in enumerate(training.trained_weights(model)):
        mean = np.mean([ingredients[p][place] for p in want["chosen"]], axis=0)
        np.testing.assert_allclose(got, mean, atol=1e-6)
