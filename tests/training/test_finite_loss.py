"""A loss that is no number ends training, and says where to look."""

import keras
import numpy as np
import pytest

from tatl_keras import data, training, zoo
from tatl_keras.training import checkpoint

ROWS, BAD = 10, 7


def test_step_examples_and_checkpoint_are_named(tmp_path):
    model = zoo.build("test_efficientnet_image_only", 2)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ROWS, 24)).astype("float32")
    x = {"image_pooled": vectors, "has_image": np.ones(ROWS, "int32")}
    y = np.arange(ROWS) % 2
    backup = training.BackupAndRestore(tmp_path / "b", save_freq=1, delete_checkpoint=False)
    model.fit(x, y, batch_size=4, epochs=1, callbacks=[backup], verbose=0)
    good = checkpoint.read_newest(tmp_path / "b")[1]
    vectors[BAD] = np.nan
    with pytest.raises(ValueError, match="The loss must be finite. Received: loss=nan") as error:
        model.fit(
            x, y, batch_size=4, epochs=2, verbose=0, callbacks=[backup, training.FiniteLoss()]
        )
    message = str(error.value)
    order = model.progress.order.rows(1)
    step = order.tolist().index(BAD) // 4
    named = [f"row {row}" for row in order[4 * step : 4 * step + 4]]
    assert f"at step {step + 1} of epoch 2, whose examples are {named}" in message
    last = checkpoint.read_newest(tmp_path / "b")[1]
    assert f"The last good checkpoint: {last}." in message and (step == 0) == (last == good)
    weights = checkpoint.read_checkpoint(last)["variables"]
    assert all(np.isfinite(one["value"].astype("float64")).all() for one in weights)


@pytest.mark.parametrize("cache", [None, "memory"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_named_examples_are_those_of_the_batch(cache, shuffle):
    examples = data.synthetic.examples(3, ROWS, seed=0)
    labels = dict(zip(examples.ids, [int(y) for _, y in examples], strict=True))
    model = zoo.build("test_bert_text_only", 3)
    named, kept = [], []
    note = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: kept.append(model.progress.batches),
        on_train_batch_end=lambda batch, logs: named.append(model.progress.examples(0, batch)),
    )
    options = {"batch_size": 4, "shuffle": shuffle, "feature_cache": cache, "verbose": 0}
    model.fit(examples, callbacks=[note], **options)
    assert sorted(sum(named, [])) == sorted(examples.ids)
    assert (sum(named, []) == examples.ids) == (not shuffle)
    assert model.progress.batches is None  # features in memory are let go
    model.progress.order.epoch = 0
    for names, (_, y) in zip(named, kept[0], strict=True):
        assert [labels[name] for name in names] == y.numpy().tolist()


def test_batches_of_the_user_have_no_names():
    examples = data.synthetic.examples(2, ROWS, seed=0)
    model = zoo.build("test_bert_text_only", 2)
    model.fit(examples.batch(4), verbose=0)
    assert model.progress.examples(0, 0) is None
