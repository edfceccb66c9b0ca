"""What TensorBoard shows of a run, read back by TensorBoard's own code and checked otherwise."""

import io
import json
import sys
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from sklearn.metrics import confusion_matrix, precision_recall_curve
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.image.images_plugin import ImagesPlugin
from tensorboard.plugins.pr_curve import summary as official
from tensorboard.plugins.pr_curve.pr_curves_plugin import PrCurvesPlugin
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

from tatl_keras import data, training, zoo
from tatl_keras.training import boards, boards_projector

ROWS, CLASSES = 29, 3
SIDE = boards_projector.SIDE


@pytest.fixture(scope="module")
def examples():
    """29 examples, some without picture or text."""
    options = {"missing_text": 0.2, "missing_image": 0.2}
    return data.synthetic.examples(CLASSES, ROWS, seed=3, **options)


@pytest.fixture(scope="module")
def cache():
    return training.FeatureCache()


@pytest.fixture(scope="module")
def model(examples, cache):
    model = zoo.build("test_efficientnet_bert_concat", num_classes=CLASSES, seed=1)
    model.fit(examples, epochs=1, verbose=0, feature_cache=cache)  # learns a vocabulary
    kernel, bias = model.head.weights
    rng = np.random.default_rng(0)
    kernel.assign(rng.normal(size=kernel.shape) / 8)
    bias.assign(rng.normal(size=bias.shape))
    return model


@pytest.fixture(scope="module")
def logits():
    """Right for two thirds of the rows, with probabilities of all sizes."""
    logits = np.random.default_rng(1).normal(size=(ROWS, CLASSES)) * 2
    logits[np.arange(0, ROWS, 2), np.arange(0, ROWS, 2) % CLASSES] += 3
    return logits


@pytest.fixture(scope="module")
def labels(examples):
    return np.array([int(label) for _, label in examples])


@pytest.fixture(scope="module")
def logs(tmp_path_factory, model, examples, logits, cache):
    folder = tmp_path_factory.mktemp("logs")
    training.write_boards(folder / "test", model, examples, logits, step=7, feature_cache=cache)
    return folder


@pytest.fixture(scope="module")
def board(logs):
    """What TensorBoard's plugins are given of a folder of logs."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logs))
    return TBContext(data_provider=provider, logdir=str(logs), multiplexer=multiplexer)


def asked(plugin, route, **query):
    """The body of what a plugin answers, as its server would."""
    environ = {"QUERY_STRING": urlencode(query)}
    setup_testing_defaults(environ)
    status = []
    body = plugin.get_plugin_apps()[route](environ, lambda code, *_: status.append(code))
    contents = b"".join(body)
    assert status == ["200 OK"], contents
    return contents


def probabilities(logits):
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def pixels(png):
    return tf.io.decode_png(png, channels=3).numpy()


def shown_picture(board, tag):
    plugin = ImagesPlugin(board)
    (entry,) = json.loads(asked(plugin, "/images", run="test", tag=tag, sample=0))
    assert entry["step"] == 7
    png = asked(plugin, "/individualImage", blob_key=entry["query"].removeprefix("blob_key="))
    (event,) = board.multiplexer.Tensors("test", tag)
    width, height, _ = tf.make_ndarray(event.tensor_proto)
    assert (int(height), int(width), 3) == pixels(png).shape
    return pixels(png)


def test_the_confusion_matrix_is_shown(board, examples, logits, labels):
    file = io.BytesIO()
    confusion = confusion_matrix(labels, logits.argmax(axis=1), labels=range(CLASSES))
    training.draw_confusion(confusion, examples.class_names, file)
    np.testing.assert_array_equal(shown_picture(board, "confusion_matrix"), pixels(file.getvalue()))


def test_two_mistakes_and_two_other_examples_are_shown(board, examples, logits, labels):
    scores = probabilities(logits)
    answers = scores.argmax(axis=1)
    wrong = [i for i in np.argsort(-scores.max(axis=1)) if answers[i] != labels[i]]
    firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(CLASSES)]
    rows = [*wrong[:2], *(row for row in firsts if row not in wrong[:2])][:4]
    columns = [(x["text"].numpy().decode(), x["image"].numpy()) for x, _ in examples]
    thumbnail = training.report_examples.thumbnail
    expected = [
        {
            "image": thumbnail(columns[row][1]),
            "text": columns[row][0],
            "label": examples.class_names[labels[row]],
            "predicted": examples.class_names[answers[row]],
            "probability": scores[row].max(),
        }
        for row in rows
    ]
    file = io.BytesIO()
    training.draw_predictions(expected, file, columns=2)
    np.testing.assert_array_equal(shown_picture(board, "examples"), pixels(file.getvalue()))


@pytest.mark.parametrize("which", ["micro-average", 0, 1, 2])
def test_precision_and_recall_are_those_of_scikit_learn(board, examples, logits, labels, which):
    positive, scores = labels[:, None] == np.arange(CLASSES), probabilities(logits)
    name = which
    if which != "micro-average":
        name, positive, scores = examples.class_names[which], positive[:, which], scores[:, which]
    positive, scores = positive.ravel(), scores.ravel()
    plugin = PrCurvesPlugin(board)
    shown = plugin.pr_curves_impl(RequestContext(), "", ["test"], f"pr_curve/{name}")["test"]
    assert [entry["step"] for entry in shown] == [7]
    shown = shown[0]
    precision, recall, thresholds = precision_recall_curve(positive, scores)
    found = np.searchsorted(thresholds, shown["thresholds"])  # of the next score, if there is one
    reached = found < len(thresholds)
    assert reached.sum() > 100
    for name, expected in (("precision", precision), ("recall", recall)):
        np.testing.assert_allclose(
            np.array(shown[name])[reached], expected[found[reached]], atol=1e-7
        )
    for place in (0, 17, 60, 99):
        yes = scores >= place / 200
        counts = [positive & yes, ~positive & yes, ~positive & ~yes, positive & ~yes]
        names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
        assert [shown[name][place] for name in names] == [part.sum() for part in counts]


def test_curves_are_what_tensorboard_would_have_written(board, examples, logits, labels):
    tags = PrCurvesPlugin(board).tags_impl(RequestContext(), "")["test"]
    assert set(tags) == {f"pr_curve/{name}" for name in ["micro-average", *examples.class_names]}
    name = examples.class_names[0]
    found = board.multiplexer.SummaryMetadata("test", f"pr_curve/{name}")
    (event,) = board.multiplexer.Tensors("test", f"pr_curve/{name}")
    scores = probabilities(logits)[:, 0].astype(np.float32)
    (theirs,) = official.pb(name, labels == 0, scores, num_thresholds=201).value
    expected = theirs.metadata.plugin_data
    ours = found.plugin_data
    assert (ours.plugin_name, ours.content) == (expected.plugin_name, expected.content)
    np.testing.assert_array_equal(
        tf.make_ndarray(event.tensor_proto), tf.make_ndarray(theirs.tensor)
    )


def test_the_projector_has_the_vectors_that_the_head_reads(board, logs, model, examples, cache):
    plugin = ProjectorPlugin(board)
    assert json.loads(asked(plugin, "/runs")) == ["test"]
    shown = json.loads(asked(plugin, "/info", run="test"))["embeddings"][0]
    config = text_format.Parse(
        (logs / "test/projector_config.pbtxt").read_text(), ProjectorConfig()
    )
    assert shown["tensorName"] == config.embeddings[0].tensor_name == "fused"
    rows, columns = config.embeddings[0].tensor_shape
    kernel, bias = (weight.numpy() for weight in model.head.weights)
    assert (rows, columns) == (ROWS, len(kernel))
    vectors = np.frombuffer(asked(plugin, "/tensor", run="test", name="fused"), np.float32)
    vectors = vectors.reshape(rows, columns)
    # A row with neither picture nor text gets the frequencies of classes, whatever the head says.
    known = [bool(x["image"].numpy() or x["text"].numpy()) for x, _ in examples]
    expected = model.predict(examples, verbose=0, feature_cache=cache)
    np.testing.assert_allclose((vectors @ kernel + bias)[known], expected[known], atol=2e-4)


def test_the_projector_has_words_and_pictures(board, examples, logits, labels):
    plugin = ProjectorPlugin(board)
    table = asked(plugin, "/metadata", run="test", name="fused").decode().split("\n")
    header, *lines = [line.split("\t") for line in table]
    assert header == ["label", "prediction", "probability", "right", "text"]
    scores, names = probabilities(logits), examples.class_names
    sheet = pixels(asked(plugin, "/sprite_image", run="test", name="fused"))
    assert sheet.shape == (6 * SIDE, 6 * SIDE, 3)  # 6 x 6 is the smallest square for 29
    missing = 0
    for row, ((x, label), line) in enumerate(zip(examples, lines, strict=True)):
        answer = scores[row].argmax()
        right = "yes" if answer == label else "no"
        chances = f"{scores[row].max():.3f}"
        text = x["text"].numpy().decode()
        assert line == [names[label], names[answer], chances, right, text]
        top, left = row // 6 * SIDE, row % 6 * SIDE
        tile = sheet[top : top + SIDE, left : left + SIDE].astype(float)
        if x["image"] == b"":
            missing += 1
            assert (tile == 230).all()
        else:
            image = data.decode_image(x["image"]).numpy().astype(float)
            np.testing.assert_allclose(tile.mean((0, 1)), image.mean((0, 1)), atol=3)
            halves = [part[: len(part) // 2].mean((0, 1)) for part in (tile, image)]
            np.testing.assert_allclose(*halves, atol=6)
    assert missing > 2


def test_of_many_classes_and_examples_some_are_shown(
    tmp_path, model, examples, logits, labels, logs, cache, monkeypatch
):
    monkeypatch.setattr(boards, "_MOST_CURVES", 1)
    monkeypatch.setattr(boards, "_MOST_VECTORS", 10)
    training.write_boards(tmp_path, model, examples, logits, feature_cache=cache)
    tags = EventMultiplexer().AddRun(str(tmp_path), "a").Reload().PluginRunToTagToContent
    frequent = examples.class_names[np.bincount(labels).argmax()]
    assert set(tags("pr_curves")["a"]) == {"pr_curve/micro-average", f"pr_curve/{frequent}"}
    for name, header in (("fused.tsv", 0), ("metadata.tsv", 1)):
        some, every = ((at / name).read_text().split("\n") for at in (tmp_path, logs / "test"))
        assert len(some) == 10 + header
        assert some == every[:header] + every[header::3]


def test_words_keep_to_their_cells(tmp_path):
    words = {"label": ["a\tb", "c"], "text": ["one\ntwo\u2028three", "x" * 300]}
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    boards_projector.write_projector(tmp_path, np.array([[0.5], [1e-20]]), words, pictures)
    lines = (tmp_path / "metadata.tsv").read_text().split("\n")
    assert lines == ["label\ttext", "a b\tone two three", "c\t" + "x" * 199 + "…"]
    assert (tmp_path / "fused.tsv").read_text() == "0.5\n1e-20"


def test_an_earlier_call_is_replaced_and_other_logs_stay(tmp_path, model, examples, logits, cache):
    folder = tmp_path / "[a]"
    log = training.HistoryLog(log_dir=str(tmp_path))
    log.on_epoch_begin(0)
    log.on_epoch_end(0, {"loss": 0.5})
    log.on_train_end()
    (tmp_path / "train").rename(folder)
    for step in (1, 2):
        training.write_boards(folder, model, examples, logits, step=step, feature_cache=cache)
    found = EventMultiplexer().AddRun(str(folder), "a").Reload()
    assert [event.step for event in found.Tensors("a", "confusion_matrix")] == [2]
    assert [event.step for event in found.Tensors("a", "epoch_loss")] == [1]


def test_neither_tensorboard_nor_a_cache_is_needed(
    tmp_path, model, examples, logits, logs, monkeypatch
):
    for name in [n for n in sys.modules if n.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    training.write_boards(tmp_path, model, examples, logits)
    assert len(list(tmp_path.iterdir())) == 5
    found, expected = (np.loadtxt(at / "fused.tsv") for at in (tmp_path, logs / "test"))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_logits_of_other_examples(tmp_path, model, examples, logits):
    with pytest.raises(
        ValueError, match=f"a row for each of {ROWS} examples. Received: .* 28 rows"
    ):
        training.write_boards(tmp_path / "test", model, examples, logits[1:])
    assert list(tmp_path.iterdir()) == []
