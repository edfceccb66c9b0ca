"""One training of a comparison of random and pretrained weights."""

import itertools
import warnings

import keras
import numpy as np
import tensorflow as tf

from tatl_keras import zoo
from tatl_keras.models.pipeline import learn_vocabulary
from tatl_keras.training.feature_cache import encode

ARMS = ("random", "finetuned", "frozen", "frozen_text")


class Runner:
    """Trains the arms, and keeps what they share: raw examples and features.

    Args:
        model: str, entry of the zoo.
        train, test: data sets of `data.load`.
        cache: a `FeatureCache` for the frozen arms.
        batch_size: int.
        learning_rates: dict from arm to float, or to `None` for the model's own.
        batch_norm_momentum: float, of the networks that learn; `None` leaves their own.
        image_options, text_options: dicts of arguments of `zoo.compose`.
    """

    def __init__(
        self, model, train, test, cache, *, batch_size, learning_rates, batch_norm_momentum,
        image_options, text_options,
    ):  # fmt: skip
        self._spec = zoo.spec(model)
        self._train, self._test, self._cache = train, test, cache
        self.batch_size = batch_size
        self._learning_rates = learning_rates
        self._momentum = batch_norm_momentum
        self._options = {"image": image_options, "text": text_options}
        self._features = {}
        self._images = None
        self.labels = np.array([int(label) for label in train.map(lambda x, y: y)])

    def run(self, arm, seed, order, steps):
        """Trains one arm and evaluates it on the way.

        Args:
            arm: one of `ARMS`.
            seed: int, of initial weights and dropout.
            order: int array (steps, batch_size), rows of the training data.
            steps: increasing list of ints, when to evaluate; the last is the end.

        Returns:
            A list of dicts with `step`, `accuracy` and `loss` on the test data.
        """
        model = self._build(arm, seed)
        read, test = self._inputs(arm, model)
        rows = []
        for start, stop in itertools.pairwise([0, *steps]):
            batches = _batches(read, self.labels, order[start:stop])
            model.fit(batches, shuffle=False, verbose=0)
            logs = model.evaluate(test, batch_size=self.batch_size, verbose=0, return_dict=True)
            rows.append({"step": stop, "accuracy": logs["accuracy"], "loss": logs["loss"]})
        return rows

    def _build(self, arm, seed):
        keras.utils.set_random_seed(seed)
        names = self._train.class_names
        options = {"class_names": names, "seed": seed, "frozen": arm.startswith("frozen")}
        options |= self._options["image"]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*random weights.*")
            if arm == "frozen_text":
                options |= self._options["text"]
                model = zoo.build(self._spec.name, len(names), **options)
                learn_vocabulary(model, self._train)
            else:
                options |= {"image_preset": None} if arm == "random" else {}
                model = zoo.compose(len(names), image=self._spec.image, **options)
        if not options["frozen"] and self._momentum is not None:
            for layer in model.image_encoder._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.momentum = self._momentum
        if self._learning_rates[arm] is not None:
            model.optimizer.learning_rate = self._learning_rates[arm]
        return model

    def _inputs(self, arm, model):
        """`(read, test)`: a function from rows to inputs, and what to evaluate on."""
        if not arm.startswith("frozen"):
            if self._images is None:
                pictures = self._train.map(lambda x, y: x["image"]).as_numpy_iterator()
                self._images = np.array(list(pictures), object)
            return lambda rows: {"image": self._images[rows]}, self._test
        key = (arm, *(encoder.digest() for encoder in model.encoders.values()))
        if key not in self._features:
            options = {"batch_size": self.batch_size, "verbose": 0}
            self._features[key] = [
                encode(examples, model, self._cache, **options)
                for examples in (self._train, self._test)
            ]
        train, test = self._features[key]
        return train.read, test.dataset(self.batch_size)


def _batches(read, labels, order):
    """A `tf.data.Dataset` with a batch for each row of `order`, as it stands there."""
    first = read(order[0])
    specs = {
        name: tf.TensorSpec(values.shape, tf.as_dtype(values.dtype))
        for name, values in first.items()
    }
    signature = (specs, tf.TensorSpec(order.shape[1:], tf.int32))

    def generate():
        for rows in order:
            yield read(rows), labels[rows].astype(np.int32)

    batches = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return batches.apply(tf.data.experimental.assert_cardinality(len(order)))
