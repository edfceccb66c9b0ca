"""A run's pictures, curves and vectors for TensorBoard."""

import io
import os

import numpy as np
import tensorflow as tf

from tatl_keras._probabilities import log_softmax
from tatl_keras.features import FeatureCache
from tatl_keras.models.features import inputs_of
from tatl_keras.models.pipeline import tensor_batches
from tatl_keras.training.boards_curves import precision_recall
from tatl_keras.training.boards_events import only_events, write_curve, write_picture
from tatl_keras.training.boards_projector import small_pictures, write_projector
from tatl_keras.training.confusion_figure import draw_confusion
from tatl_keras.training.figures import draw_predictions
from tatl_keras.training.metrics import classification_metrics
from tatl_keras.training.report_examples import pick_examples

_MOST_CURVES = 20
_MOST_VECTORS = 500
_PICTURES = 4


def write_boards(
    log_dir, model, examples, logits=None, *, picked=None, step=0, batch_size=32,
    feature_cache=None,
):  # fmt: skip
    """Writes what TensorBoard shows of a model on labelled examples, besides scalars.

        IMAGES      the two worst mistakes and two other examples, with text, label and
                    prediction; the confusion matrix
        PR CURVES   precision and recall of the 20 classes with most examples, each against all
                    others, and their micro-average: of all classes' answers together
        PROJECTOR   the fused vectors (N, D) of up to 500 examples, every k-th, with label,
                    prediction, probability and text, and small pictures as points

    The `tensorboard` package is needed to look at these, not to write them. What an earlier call
    wrote into the folder is replaced; other logs there stay. It takes a second or two, and without
    a `feature_cache` as long as the encoders take for up to 500 examples.

    Args:
        log_dir: folder, made where it is not there; TensorBoard calls it a run. The projector finds
            its files in no other place than beside events.
        model: a trained `TextAssistedClassifier`.
        examples: data set of `data.load`, single examples with labels.
        logits: floats (N, C), as `model.predict` gives for the examples; predicted if `None`.
        picked: what `pick_examples` gives for the examples and logits, where that is known.
        step: int, under which everything is shown.
        batch_size, feature_cache: as `predict` takes them.

    Raises:
        ValueError: `logits` are not those of the examples.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> folder = tempfile.mkdtemp()
    >>> examples = data.synthetic.examples(2, 6)
    >>> training.write_boards(folder, model, examples, feature_cache="memory")
    >>> sorted(name for name in os.listdir(folder) if "tfevents" not in name)
    ['fused.tsv', 'metadata.tsv', 'projector_config.pbtxt', 'sprite.png']
    """
    log_dir = os.fspath(log_dir)
    options = {"batch_size": batch_size, "feature_cache": FeatureCache.get(feature_cache)}
    if logits is None:
        logits = model.predict(examples, verbose=0, **options)
    logits = np.asarray(logits)
    picked = pick_examples(examples, logits) if picked is None else picked
    names, labels = examples.class_names, np.asarray(picked["labels"])
    os.makedirs(log_dir, exist_ok=True)
    with only_events(log_dir):
        _write_pictures(picked, labels, logits, names, step)
        _write_curves(labels, logits, names, step)
    _write_vectors(log_dir, model, examples, labels, logits, names, options)


def _write_pictures(picked, labels, logits, names, step):
    mistakes = picked["mistakes"][: _PICTURES // 2]
    known = [example["id"] for example in mistakes]
    others = [example for example in picked["some"] if example["id"] not in known]
    file = io.BytesIO()
    draw_predictions((mistakes + others)[:_PICTURES], file, columns=2)
    write_picture("examples", file.getvalue(), step)
    file = io.BytesIO()
    confusion = classification_metrics(labels, logits, names)["confusion"]
    draw_confusion(confusion, names, file)
    write_picture("confusion_matrix", file.getvalue(), step)


def _write_curves(labels, logits, names, step):
    scores = np.exp(log_softmax(np.asarray(logits, np.float64)))
    positive = labels[:, None] == np.arange(len(names))
    words = "All classes' answers together."
    write_curve("pr_curve/micro-average", precision_recall(positive, scores), step, words)
    counts = positive.sum(axis=0)
    for index in np.argsort(-counts, kind="stable")[:_MOST_CURVES]:
        if counts[index]:
            curve = precision_recall(positive[:, index], scores[:, index])
            words = f"{counts[index]} of {len(labels)} examples."
            write_curve(f"pr_curve/{names[index]}", curve, step, words)


def _write_vectors(folder, model, examples, labels, logits, names, options):
    every = -(-len(labels) // _MOST_VECTORS)
    some, texts = examples.shard(every, 0), []

    def images():
        for x, _ in some.as_numpy_iterator():
            texts.append(x["text"].decode("utf-8", "replace"))
            yield x["image"]

    pictures = small_pictures(images())
    answers = logits[::every].argmax(axis=1)
    probabilities = np.exp(log_softmax(np.asarray(logits[::every], np.float64)).max(axis=1))
    words = {
        "label": [names[label] for label in labels[::every]],
        "prediction": [names[answer] for answer in answers],
        "probability": [f"{probability:.3f}" for probability in probabilities],
        "right": ["yes" if same else "no" for same in answers == labels[::every]],
        "text": texts,
    }
    write_projector(folder, _fused(model, some, len(answers), options), words, pictures)


def _fused(model, examples, count, options):
    """The vectors (N, D) that the head of a model reads."""

    def fuse(inputs):
        return model.fusion(model.encode(inputs, training=False), training=False)

    if options["feature_cache"] is None:  # encoders are worth compiling
        fuse = tf.function(fuse, autograph=False, reduce_retracing=True)
    batches = tensor_batches(inputs_of(model, examples, verbose=0, **options)["x"])
    found = [fuse(batch[0] if isinstance(batch, tuple) else batch) for batch in batches]
    return np.concatenate([vectors.numpy() for vectors in found])[:count]  # a TPU's are filled up
