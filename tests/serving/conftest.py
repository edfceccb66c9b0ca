"""One small model, trained and exported once for all tests of serving."""

import keras
import pytest

from tatl_keras import zoo
from tatl_keras.data import synthetic


@pytest.fixture(scope="session")
def fitted():
    """A function from the name of an entry to such a model, trained a little on made-up rows."""

    def fit(name, **options):
        keras.utils.set_random_seed(0)
        model = zoo.build(name, 3, seed=0, **options)
        model.compile(optimizer=keras.optimizers.Adam(0.01))
        model.fit(synthetic.examples(3, 12), epochs=2, verbose=0)
        return model

    return fit


@pytest.fixture(scope="session")
def model(fitted):
    """Pictures and texts, joined by cross-attention; three classes. Do not change it."""
    return fitted("test_vit_bert_cross")


@pytest.fixture(scope="session")
def directory(model, tmp_path_factory):
    """Its export, `.../pets/1`, with the defaults. Do not change it: copy it."""
    path = tmp_path_factory.mktemp("export") / "pets" / "1"
    model.export(path)
    return str(path)
