"""What test_workers.py trains, on one device, on two, and as one of its workers.

python worker.py FOLDER
"""

import json
import os
import sys

import keras
import numpy as np

from tatl_keras import data, training, zoo

ROWS, BATCH = 21, 5  # two replicas get 3 and 2 rows of a batch, and 1 and none of the last


def head():
    """A gated fusion on cached features, as its recipe trains it."""
    return zoo.build("test_efficientnet_bert_gated", 3, seed=0, sequence_length=11), "memory"


def backbone():
    """Blocks with BatchNormalization, fine-tuned by gradients that are clipped.

    By SGD: Adam divides small gradients by themselves, and their rounding comes out large.
    """
    model = zoo.build("test_efficientnet_image_only", 3, seed=0)
    model.image_encoder.unfreeze(last_n=1)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0  # each replica drops other rows
    model.compile(keras.optimizers.SGD(0.02, global_clipnorm=0.3))
    return model, None


def train(strategy, make):
    """Three epochs of `make()`'s model.

    Returns:
        The model, its history, its logits, and `evaluate`'s results.
    """
    with strategy.scope():
        model, cache = make()
    examples = data.synthetic.examples(3, ROWS, seed=1)
    options = {"batch_size": BATCH, "verbose": 0, "feature_cache": cache}
    history = model.fit(examples, validation_data=examples, epochs=3, **options).history
    logits = model.predict(examples, **options)
    return model, history | {"evaluated": model.evaluate(examples, **options)}, logits


def main(folder):
    """Trains as one of the workers that the environment names."""
    strategy = training.strategy()
    index = strategy.cluster_resolver.task_id
    for make in (head, backbone):
        keras.utils.set_random_seed(5 + index)  # the workers must agree on the order all the same
        model, history, logits = train(strategy, make)
        path = os.path.join(folder, f"{make.__name__}_{index}")
        np.savez(f"{path}.npz", logits, *(weight.numpy() for weight in model.weights))
        with open(f"{path}.json", "w", encoding="utf-8") as file:
            json.dump(history, file)


if __name__ == "__main__":
    main(sys.argv[1])
