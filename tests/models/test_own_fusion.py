"""A fusion of a user's own."""

import keras

from tatl_keras import data, zoo

CLASSES, ROWS = 3, 8


@keras.saving.register_keras_serializable(package="tests")
class _Mean(keras.layers.Layer):
    """A user's own fusion: any layer that says what it uses."""

    uses = ("text_pooled", "has_text")

    def build(self, features_shape):
        self.built = True

    def call(self, features, training=None):
        return features["text_pooled"] * keras.ops.cast(features["has_text"], "float32")[:, None]

    def compute_output_shape(self, features_shape):
        return features_shape["text_pooled"]


def test_a_fusion_need_not_be_one_of_ours():
    examples = data.synthetic.examples(CLASSES, ROWS, seed=1)
    model = zoo.compose(CLASSES, text="test_text", fusion=_Mean(), seed=0)
    model.fit(examples, epochs=1, verbose=0)
    assert model.predict(examples, verbose=0).shape == (ROWS, CLASSES)
