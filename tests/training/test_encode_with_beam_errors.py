"""What the Beam pipeline refuses before it starts."""

import sys
from pathlib import Path

import pytest

from tatl_keras import training, zoo
from tatl_keras.data import synthetic

pytest.importorskip("apache_beam", reason="needs apache-beam, the extra `beam`")

ROWS = [{"id": "a", "image": b"GIF89a"}]


@pytest.fixture(scope="module")
def pictures():
    return zoo.compose(2, image="test_vit", fusion="image_only", seed=1)


def test_without_beam_the_extra_is_named(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"Install tatl_keras\[beam\]"):
        training.encode_with_beam(ROWS, pictures, "cache")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cache": "memory"}, "`cache` must be a folder, .* Received: cache=<"),
        ({"cache": None}, "`cache` must be a folder, .* Received: cache=None"),
        ({"examples": "pets.csv"}, "`examples` must be .* Received: examples='pets.csv'"),
        ({"examples": [b"GIF89a"]}, "`examples` must be .* Received: examples=.b'GIF89a'"),
        ({"encoders": {}}, "`encoders` must be a model, or a dict .* Received: encoders={}"),
        ({"batch_size": 0}, "`batch_size` must be an int .* Received: batch_size=0"),
        ({"shard_rows": 2.0}, "`shard_rows` must be an int .* Received: shard_rows=2.0"),
    ],
)
def test_wrong_arguments(pictures, arguments, message):
    given = {"examples": ROWS, "encoders": pictures, "cache": "cache"} | arguments
    with pytest.raises(ValueError, match=message):
        training.encode_with_beam(
            given.pop("examples"), given.pop("encoders"), given.pop("cache"), **given
        )
    assert not list(Path(".").rglob("*.safetensors")) and not list(Path(".").rglob(".beam*"))


def test_what_cannot_be_encoded_elsewhere(pictures):
    learning = zoo.compose(2, image="test_vit", fusion="image_only", frozen=False)
    with pytest.raises(ValueError, match="`encoders` must have a frozen encoder. Received: none"):
        training.encode_with_beam(ROWS, learning, "cache")
    untaught = zoo.compose(2, text="test_text", fusion="text_only")
    with pytest.raises(ValueError, match="`preprocessor` must have a vocabulary"):
        training.encode_with_beam(ROWS, untaught, "cache")
    streamed = synthetic.examples(2, 4)
    streamed.rows = None  # as of TFDS
    with pytest.raises(ValueError, match="must be pictures in files. Received: a data set of TFDS"):
        training.encode_with_beam(streamed, pictures, "cache")
