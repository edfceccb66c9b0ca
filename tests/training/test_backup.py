"""Training that is stopped and goes on ends as training that was not."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import encoders, fusion, models, training
from tatl_keras.training import checkpoint

ROWS, EPOCHS, BATCH_SIZE = 14, 4, 4  # batches of 4, 4, 4 and 2


class Stopped(Exception):
    pass


class StopAfter(keras.callbacks.Callback):
    """Ends training by an exception, or a signal, once this life has learned some steps."""

    def __init__(self, steps, sign=None):
        super().__init__()
        self.steps, self.sign, self.first = steps, sign, None

    def on_epoch_begin(self, epoch, logs=None):
        if self.first is None:
            self.first = self.model.optimizer.iterations.numpy()

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() - self.first < self.steps:
            return
        if self.sign is None:
            raise Stopped
        os.kill(os.getpid(), self.sign)


def make_model(optimizer="adam"):
    """A gated fusion with dropout of rows and of channels, on features."""
    keras.utils.set_random_seed(5)
    model = models.TextAssistedClassifier(
        encoders.build_image("test_image")[0],
        encoders.build_text("test_text")[0],
        fusion.GatedFusion(hidden_dim=8, dropout=0.3, seed=1),
        3,
        modality_dropout=0.3,
    )
    model.compile(optimizer)
    return model


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    x = {f"{name}_pooled": rng.normal(size=(ROWS, dim)) for name, dim in
         (("image", 24), ("text", 16))}  # fmt: skip
    x = {name: values.astype("float32") for name, values in x.items()}
    x |= {f"has_{name}": np.ones(ROWS, "int32") for name in ("image", "text")}
    return x, rng.integers(0, 3, ROWS)


def fit(features, callbacks, model=None, epochs=EPOCHS):
    model = model or make_model()
    options = {"validation_data": features, "verbose": 0, "callbacks": callbacks}
    history = model.fit(*features, epochs=epochs, batch_size=BATCH_SIZE, **options)
    return model, history.history


def assert_same(model, other):
    for ours, theirs in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)
    for ours, theirs in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


def companions():
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    return [stop, slower, training.HistoryLog("history.csv")]


@pytest.mark.parametrize(("save_freq", "steps"), [("epoch", 6), (1, 3), (3, 5)])
def test_lives_of_some_steps_add_up_to_one_bit_for_bit(features, save_freq, steps, tmp_path):
    want, history = fit(features, companions())
    rows = training.read_history("history.csv")
    deaths, found = 0, None
    while found is None:
        backup = training.BackupAndRestore(tmp_path / "b", save_freq, delete_checkpoint=False)
        try:
            model, found = fit(features, [backup, StopAfter(steps), *companions()])
        except Stopped:
            deaths += 1
            assert deaths < 9, "each life must get further"
    assert deaths >= 2 and found == history
    assert_same(model, want)
    for name, values in training.read_history("history.csv").items():
        assert name == "seconds" or values == rows[name]
    again = make_model()  # all is trained; a process that was killed after that gets it all back
    assert fit(features, [backup, StopAfter(1), *companions()], again)[1] == history
    assert_same(again, want)


def test_a_signal_ends_training_after_the_step_with_a_checkpoint(features, tmp_path):
    want, history = fit(features, [])
    before = signal.getsignal(signal.SIGTERM)
    backup = training.BackupAndRestore(tmp_path / "b")
    with pytest.raises(training.Preempted) as error:
        fit(features, [StopAfter(6, signal.SIGTERM), backup])
    assert error.value.code == 75 and signal.getsignal(signal.SIGTERM) is before
    state = checkpoint.read_checkpoint(error.value.checkpoint)
    assert (state["epoch"], state["step"]) == (1, 2)
    model, found = fit(features, [StopAfter(10**9), backup])
    assert found == history and not (tmp_path / "b").exists()
    assert_same(model, want)


def test_an_error_in_training_gives_the_signal_back(features, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped):
        fit(features, [StopAfter(1), training.BackupAndRestore(tmp_path / "b")])
    assert signal.getsignal(signal.SIGTERM) is before


def test_training_that_stopped_early_stays_stopped(features, tmp_path):
    backup = training.BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    stop = dict(monitor="loss", patience=1, min_delta=10.0, restore_best_weights=True)
    model, history = fit(features, [keras.callbacks.EarlyStopping(**stop), backup], epochs=9)
    assert len(history["loss"]) == 2
    again, found = fit(features, [keras.callbacks.EarlyStopping(**stop), backup], epochs=9)
    assert found == history
    assert_same(again, model)


def test_two_replicas_go_on_too(features, two_devices, tmp_path):
    def life(folder, steps):
        with two_devices.scope():
            model = make_model(keras.optimizers.SGD(0.1))
        backup = training.BackupAndRestore(tmp_path / folder, 2)
        return fit(features, [backup, StopAfter(steps)], model)

    want, history = life("whole", 99)
    with pytest.raises(Stopped):
        life("parts", 7)
    model, found = life("parts", 99)
    for ours, theirs in zip(model.weights, want.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)
    for name, values in found.items():
        np.testing.assert_allclose(values, history[name], atol=1e-6)


def test_a_plain_keras_model_goes_on_with_data_in_a_fixed_order(tmp_path):
    x = np.linspace(-1, 1, 12).reshape(12, 1)
    batches = tf.data.Dataset.from_tensor_slices((x, 3 * x)).batch(3)

    def life(*callbacks):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        model.fit(batches, epochs=3, verbose=0, callbacks=list(callbacks))
        return model

    want = life()
    with pytest.raises(Stopped):
        life(training.BackupAndRestore(tmp_path / "b"), StopAfter(6))
    model = life(training.BackupAndRestore(tmp_path / "b"), StopAfter(99))
    np.testing.assert_array_equal(model.get_weights()[0], want.get_weights()[0])


def test_a_plain_keras_model_goes_on_from_the_end_of_an_epoch(tmp_path):
    def life(sign=None, save_freq="epoch"):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        x = np.linspace(-1, 1, 12).reshape(12, 1)
        stop = [] if sign is None else [StopAfter(6, sign)]
        backup = training.BackupAndRestore(tmp_path / "b", save_freq)
        options = {"batch_size": 3, "epochs": 3, "shuffle": False, "verbose": 0}
        model.fit(x, 3 * x, callbacks=[*stop, backup], **options)
        return model.get_weights()[0]

    want = life()
    with pytest.raises(ValueError, match="not of this library.* Received: save_freq=2"):
        life(save_freq=2)
    with pytest.raises(training.Preempted) as error:
        life(signal.SIGTERM)
    state = checkpoint.read_checkpoint(error.value.checkpoint)
    assert (state["epoch"], state["step"]) == (1, 0)
    np.testing.assert_array_equal(life(), want)


def test_what_does_not_fit_is_refused(features, tmp_path):
    def life(model, *callbacks):
        return fit(features, [*callbacks, training.BackupAndRestore(tmp_path / "b")], model)

    with pytest.raises(Stopped):
        life(make_model(), StopAfter(5))
    with pytest.raises(ValueError, match=r"of this optimizer, with .* Received: "):
        life(make_model("sgd"), StopAfter(5))
    with pytest.raises(ValueError, match=r"with a state: \[\]. Received: .*'HistoryLog'"):
        life(make_model(), training.HistoryLog())
    changed = make_model()
    weight = changed.image_encoder.weights[0]
    weight.assign(weight + 1)
    with pytest.raises(ValueError, match="same frozen encoders. Received: .*checkpoint-00000000"):
        life(changed, StopAfter(5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backup_dir": ""}, "backup_dir=''"),
        ({"save_freq": 0}, "save_freq=0"),
        ({"save_freq": "step"}, "save_freq='step'"),
        ({"max_to_keep": 0}, "max_to_keep=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        training.BackupAndRestore(**{"backup_dir": "b"} | arguments)


def test_weights_that_are_no_numbers_are_not_kept(features, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.head.bias.assign([np.nan] * 3)

    backup = training.BackupAndRestore(tmp_path / "b")
    with pytest.raises(ValueError, match=r"NaN or infinity in \['bias'\] .*checkpoint-00000000"):
        fit(features, [Break(), backup])
    state, _ = checkpoint.read_newest(tmp_path / "b")
    assert state["epoch"] == 1
