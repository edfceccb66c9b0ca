"""A run's logs, as TensorBoard sees the folder of all runs."""

import json

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin


def test_a_run_leaves_scalars_pictures_curves_and_vectors(trained):
    runs = str(trained.parent)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(runs).Reload()
    name = f"{trained.name}/logs"
    assert {run for run in multiplexer.Runs() if run.startswith(f"{name}/")} == {
        f"{name}/{part}" for part in ("train", "validation", "test")
    }
    assert multiplexer.PluginRunToTagToContent("scalars").keys() >= {f"{name}/train"}
    pictures = multiplexer.PluginRunToTagToContent("images")[f"{name}/test"]
    assert set(pictures) == {"examples", "confusion_matrix"}
    (event,) = multiplexer.Tensors(f"{name}/test", "pr_curve/micro-average")
    assert event.step == 4  # epochs
    counts = tf.make_ndarray(event.tensor_proto)
    metrics = json.loads((trained / "metrics.json").read_text())
    examples, classes = metrics["num_examples"], len(metrics["per_class"])
    np.testing.assert_array_equal(counts[:4, 0], [examples, examples * (classes - 1), 0, 0])
    context = TBContext(data_provider=MultiplexerDataProvider(multiplexer, runs), logdir=runs)
    projector = ProjectorPlugin(context)
    projector._update_configs()
    assert f"{name}/test" in projector._configs
    labels = [line.split("\t")[0] for line in (trained / "logs/test/metadata.tsv").open()][1:]
    per_class = {label: row["count"] for label, row in metrics["per_class"].items()}
    assert {label: labels.count(label) for label in per_class} == per_class
