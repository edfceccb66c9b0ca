"""Exports that write: the model's own texts, in Python, in a session, by the C API, by clients."""

import json
import pathlib
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import _predict_protos as protos
from tatl_keras import models, serving, zoo
from tatl_keras.serving import client as clients
from tatl_keras.serving import predict_with_beam, tensor_function
from tatl_keras.serving.loaded import load_classifier
from tests.data import nasty
from tests.models import writers
from tests.models.artifact.graphs import with_random_statistics
from tests.serving.loopback import Loopback
from tests.serving.questions import ask, compare, strings
from tests.serving.test_c_api import through_the_c_api

LENGTH, MAX_PIXELS, ROWS = 6, 9_000, 5
KINDS = {
    "captioner_transformer": models.BeamSampler(3, num_return=2),
    "captioner_lstm": "greedy",
    "translator_transformer": "greedy",
    "translator_lstm": models.BeamSampler(3, num_return=2),
}
TOO_LARGE = nasty.encode(nasty.noise(size=(100, 91)), "PNG")
BAD = {
    "image": [b"", b"no picture", nasty.encode(nasty.noise(), "PNG")[:300], TOO_LARGE],
    "text": [b"", b" \t\n"],
}


def model_and_rows(kind):
    """A model that writes differently of each row, and rows that it can write about."""
    family, decoder = kind.split("_")
    pictures = [*writers.captions(ROWS - 1)["image"], nasty.encode(nasty.noise(), "GIF")]
    texts = [text.encode() for text in writers.sentences(ROWS, seed=7)]
    if family == "translator":
        model, rows = writers.translator(decoder), texts
    else:
        model, rows = zoo.build(f"test_efficientnet_{decoder}_caption", seed=5), pictures
        model.preprocessor.adapt(tf.data.Dataset.from_tensor_slices(texts), 256)
        with_random_statistics(model)
    return writers.scramble(model), rows


def export(kind, folder):
    model, rows = model_and_rows(kind)
    how = {"sampler": KINDS[kind], "max_length": LENGTH}
    model.export(folder / "1", max_pixels=MAX_PIXELS, **how)
    (source,) = model.encoders
    expected = model.generate({source: rows}, return_details=True, **how)
    name = {"image": "image_bytes", "text": "text"}[source]
    serve = tf.saved_model.load(str(folder / "1")).signatures["serving_default"]
    return types.SimpleNamespace(
        kind=kind, model=model, rows=rows, source=source, directory=str(folder / "1"), how=how,
        expected=[row if isinstance(row, list) else [row] for row in expected], input=name,
        signature={"image": "caption", "text": "translate"}[source],
        ask=serve, serve=lambda rows: ask(serve, {name: strings(rows)}),
    )  # fmt: skip


# An LSTM with a beam is exported in tests/models/test_export_writer.py.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=[pytest.mark.large] if kind.endswith("lstm") else [])
        for kind in KINDS
    ],
)
def exported(request, tmp_path_factory):
    return export(request.param, tmp_path_factory.mktemp(request.param))


def of_model(exported):
    """What the answer to `exported.rows` must be."""
    return {
        "texts": strings([[one.text.encode() for one in row] for row in exported.expected]),
        "log_probs": np.array([[one.log_prob for one in row] for row in exported.expected]),
        "scores": np.array([[one.score for one in row] for row in exported.expected]),
        "valid": np.ones(ROWS, bool),
    }


def in_a_session(directory, signature, feed):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], directory)
        one = meta_graph.signature_def[signature]
        feed = {one.inputs[name].name: value for name, value in feed.items()}
        return session.run({name: info.name for name, info in one.outputs.items()}, feed)


def test_every_way_to_ask_gives_the_models_texts(exported, tmp_path):
    expected = of_model(exported)
    assert len(set(expected["texts"].ravel())) > 3  # and no two rows alike by chance
    assert expected["texts"].shape == (ROWS, getattr(KINDS[exported.kind], "num_return", 1))
    feed = {exported.input: strings(exported.rows)}
    answers = {"python": exported.serve(exported.rows)}
    answers["session"] = in_a_session(exported.directory, exported.signature, feed)
    if sys.platform == "linux" and exported.kind in ("captioner_transformer", "translator_lstm"):
        asked = {"serving_default": feed, exported.signature: feed}
        answers |= through_the_c_api(exported.directory, asked, tmp_path)
    for answer in answers.values():
        assert answer["log_probs"].dtype == answer["scores"].dtype == np.float32
        compare(answer, expected, atol=1e-5)
    loaded = serving.load(exported.directory)
    assert isinstance(loaded, serving.LoadedWriter) and loaded.source == exported.source
    texts = [[one.text for one in row] for row in exported.expected]
    many = loaded.num_return > 1
    assert loaded.generate(exported.rows, 3) == (texts if many else [row[0] for row in texts])


def test_a_row_is_written_by_itself(exported, rng):
    """Alone, in another order, and beside rows that cannot be read, which change no bit."""
    rows, bad = exported.rows, BAD[exported.source]
    expected = of_model(exported)
    order = rng.permutation(ROWS)
    compare(
        exported.serve([rows[i] for i in order]), {k: v[order] for k, v in expected.items()}, 1e-5
    )
    compare(exported.serve(rows[2:3]), {k: v[2:3] for k, v in expected.items()}, 1e-5)
    found = exported.serve(rows + bad)
    compare({k: v[:ROWS] for k, v in found.items()}, expected, 1e-5)
    broken = {name: value[ROWS:] for name, value in found.items()}
    assert not broken["valid"].any() and (broken["texts"] == b"").all()
    assert (broken["log_probs"] == 0).all() and (broken["scores"] == 0).all()
    for others in (bad[::-1], [rows[0]] * len(bad)):
        again = exported.serve(rows + others)
        compare({k: v[:ROWS] for k, v in again.items()}, {k: v[:ROWS] for k, v in found.items()}, 0)


def test_a_text_that_is_no_utf8_and_one_too_long(exported):
    if exported.source == "image":
        return
    found = exported.serve([b"\xff\xfe a", b"a " * 50_000])
    words = "a " * exported.model.preprocessor.sequence_length
    own = exported.model.generate({"text": ["�� a", words]}, return_details=True, **exported.how)
    own = [row if isinstance(row, list) else [row] for row in own]
    texts = [[text.decode() for text in row] for row in found["texts"]]
    assert found["valid"].all() and texts == [[one.text for one in row] for row in own]


def test_no_rows_are_refused(exported):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one row"):
        exported.ask(**{exported.input: tf.constant([], tf.string)})


def test_the_files_beside_it(exported):
    folder = pathlib.Path(exported.directory)
    assert serving.lint(folder) == []
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    sampler = manifest["sampler"]
    beam = KINDS[exported.kind] != "greedy"
    assert sampler["class"] == ("BeamSampler" if beam else "GreedySampler")
    assert sampler["config"].get("num_beams") == (3 if beam else None)
    model, (encoder,) = exported.model, exported.model.encoders.values()
    assert manifest["model"]["class"] == type(model).__name__
    assert manifest["model"]["encoders"][exported.source]["digest"] == encoder.digest()
    assert manifest["model"]["decoder"]["class"] == type(model.decoder).__name__
    assert manifest["limits"]["max_length"] == LENGTH
    limits = {"image": {"max_pixels"}, "text": {"sequence_length", "max_characters"}}
    assert set(manifest["limits"]) == {"max_length"} | limits[exported.source]
    assert set(manifest["preprocessing"]) == {exported.source, "target"}
    count = sampler["config"].get("num_return", 1)
    outputs = manifest["signatures"][exported.signature]["outputs"]
    assert outputs["texts"] == {"dtype": "string", "shape": [None, count]}
    assert manifest["signatures"]["serving_default"]["outputs"] == outputs
    assert {"saved_model.pb", "batching_params.pbtxt"} < set(manifest["sha256"])
    kind, asked = protos.message("PredictionLog"), []
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = kind.FromString(record).predict_log.request
        ((name, rows),) = request.inputs.items()
        assert name == exported.input
        asked.append((request.model_spec.signature_name, len(protos.to_array(rows))))
    assert asked == [("serving_default", n) for n in (1, 8, 32)] + [(exported.signature, 1)]


def test_clients_ask_by_signature(exported):
    with Loopback({"writer": {1: exported.directory}}) as server:
        for protocol in ("grpc", "rest"):
            address = getattr(server, protocol)
            with clients.Client(address, "writer", protocol=protocol, max_rows=3) as client:
                answer = getattr(client, exported.signature)(exported.rows)
            compare(answer, of_model(exported), atol=1e-5)


def test_what_asks_classifiers_refuses_it(exported, tmp_path):
    if exported.kind != "translator_transformer":
        return  # nothing of this looks at the kind
    directory = exported.directory
    with pytest.raises(ValueError, match=f"directory='{directory}' with one that writes"):
        load_classifier(directory)
    with pytest.raises(ValueError, match="with signatures .*. One that writes is served as it is."):
        tensor_function.tensor_function(directory)
    with pytest.raises(ValueError, match="`rows` must hold .* Received: rows of length 0"):
        serving.load(directory).generate([])
    with pytest.raises(RuntimeError, match="gives no probabilities, but .*texts"):
        serving.verify(directory, [{"image": b"", "text": ""}], [[0.5, 0.5]])
    pytest.importorskip("apache_beam")
    rows = [{"id": "1", "image": b"", "text": "a"}]
    with pytest.raises(RuntimeError, match="must hold a model that classifies"):
        predict_with_beam(directory, rows, str(tmp_path / "out"))
