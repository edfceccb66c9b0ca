"""A worker of test_workers.py: trains, says what came out, and keeps its weights.

python worker.py FOLDER
"""

import json
import os
import sys

import keras
import numpy as np

from tatl_keras import data, training, zoo


def train(strategy):
    """A model that has seen batches of 8, 8 and 5 for two epochs, and its history."""
    with strategy.scope():
        model = zoo.build("test_efficientnet_bert_gated", 3, seed=0, sequence_length=11)
    examples = data.synthetic.examples(3, 21, seed=1)
    options = {"epochs": 2, "batch_size": 8, "verbose": 0, "feature_cache": "memory"}
    history = model.fit(examples, validation_data=examples, **options).history
    return model, history, model.predict(examples, batch_size=8, verbose=0)


def main(folder):
    """Trains as one of the workers that the environment names."""
    strategy = training.strategy()
    index = strategy.cluster_resolver.task_id
    keras.utils.set_random_seed(5 + index)  # the workers must agree on the order all the same
    model, history, logits = train(strategy)
    path = os.path.join(folder, str(index))
    np.savez(f"{path}.npz", logits, *(weight.numpy() for weight in model.weights))
    with open(f"{path}.json", "w", encoding="utf-8") as file:
        json.dump(history, file)


if __name__ == "__main__":
    main(sys.argv[1])
