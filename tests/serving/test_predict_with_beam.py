"""Predictions of the Beam pipeline against those of the export itself."""

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, serving
from tatl_keras.data import synthetic

pytest.importorskip("apache_beam", reason="needs apache-beam, the extra `beam`")

from tatl_keras.serving import beam_inference, loaded  # noqa: E402
from tests.training.bucket import Bucket  # noqa: E402

THREADS = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
PROCESSES = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


BROKEN = "cannot be decoded: Invalid PNG data, size 60"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """20 rows, some without text; the third's picture is broken, the ninth's not there."""
    folder = tmp_path_factory.mktemp("data")
    path = Path(synthetic.write_manifest(str(folder), 3, 20, missing_text=0.2))
    lines = path.read_text().splitlines()
    pictures = [folder / line.split(",")[0] for line in lines[1:]]
    pictures[2].write_bytes(pictures[2].read_bytes()[:60])
    pictures[8].unlink()
    return path


@pytest.fixture
def examples(manifest):
    return data.load(str(manifest), "all", verify=None, on_bad="skip", label=False, verbose=False)


@pytest.fixture(scope="module")
def exported(directory):
    return serving.load(directory)


@pytest.fixture
def loaded_once(exported, monkeypatch):
    """Lets pipelines share one model: to load one takes longer than to ask it."""
    monkeypatch.setattr(beam_inference, "load_classifier", lambda where: exported)


def read(folder):
    """The rows of all files, in the order of their names."""
    paths = sorted(Path(folder).glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def expected(model, rows):
    """Top probabilities and labels of each row, by asking the export for one row at a time."""
    for row in rows:
        image = Path(row["image"]).read_bytes() if row["image"] else b""
        answer = model.answer([image], [row["text"]])
        values = answer["probabilities"][0]
        if not answer["valid"][0]:
            values = np.exp(answer["logits"][0]) / np.exp(answer["logits"][0]).sum()
        order = np.argsort(-values)
        evidence = answer["evidence"][0].decode()
        yield values[order], [model.class_names[i] for i in order], evidence


@pytest.mark.parametrize("options", [THREADS, pytest.param(PROCESSES, marks=pytest.mark.large)])
def test_every_row_gets_the_answer_of_the_export_in_its_order(
    directory, exported, examples, options, tmp_path
):
    done = serving.predict_with_beam(
        directory, examples, tmp_path / "out", top_k=2, batch_size=4, shard_rows=7,
        pipeline_options=options,
    )  # fmt: skip
    names = [f"predictions-{i:05}-of-00003.jsonl" for i in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    found = read(tmp_path / "out")
    rows = examples.rows.to_dict("records")
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    broken = {place: row["error"] for place, row in enumerate(found) if "error" in row}
    assert list(broken) == [2, 8] and broken[2] == BROKEN
    assert broken[8].startswith("no such file: ")
    assert (done["rows"], done["failed"], done["files"]) == (20, 2, 3)
    good = [(row, one) for row, one in zip(rows, found, strict=True) if "error" not in one]
    wanted = expected(exported, [row for row, _ in good])
    for (_, one), (values, labels, evidence) in zip(good, wanted, strict=True):
        assert one["label"] == labels[0] and [t["label"] for t in one["top"]] == labels[:2]
        np.testing.assert_allclose([t["probability"] for t in one["top"]], values[:2], atol=2e-6)
        assert one["evidence"] == evidence


def test_rows_of_bytes_and_rows_with_nothing(directory, examples, tmp_path, loaded_once):
    picture = Path(examples.rows["image"].iloc[0]).read_bytes()
    rows = [
        {"id": "é", "image": picture, "text": "a square"},
        {"image": b"", "text": ""},
        {"id": "c", "image": b"<html>", "text": "a square"},
        {"id": "d", "text": "a square"},
        {"id": "e", "image": "https://example.com/cat.png"},
    ]
    done = serving.predict_with_beam(directory, rows, tmp_path)
    found = read(tmp_path)
    assert [row["id"] for row in found] == ["é", "1", "c", "d", "e"]
    assert (done["rows"], done["failed"], done["files"]) == (5, 2, 1)
    assert [row.get("evidence") for row in found] == ["image+text", "none", None, "text", None]
    assert found[2]["error"] == "not a JPEG, PNG, GIF, BMP or WebP picture"
    assert "web addresses are not read" in found[4]["error"] and "label" not in found[4]
    # Nothing to go by: how frequent each class was, which were equally frequent.
    assert found[1]["probability"] == pytest.approx(1 / 3, abs=1e-5)
    assert '"é"' in (tmp_path / "predictions-00000-of-00001.jsonl").read_text("utf-8")


def test_a_row_on_which_the_model_fails_fails_alone(directory, tmp_path, monkeypatch, loaded_once):
    def answer(self, images, texts, batch_size, real=loaded.LoadedModel.answer):
        if "poison" in texts:
            raise tf.errors.InternalError(None, None, "\nno memory\nfor this")
        return real(self, images, texts, batch_size)

    monkeypatch.setattr(loaded.LoadedModel, "answer", answer)
    rows = [{"id": text, "text": text} for text in ("a", "b", "poison", "c")]
    done = serving.predict_with_beam(directory, rows, tmp_path)
    assert done["failed"] == 1
    assert [row.get("error") for row in read(tmp_path)] == [
        *(None, None, "the model failed: no memory", None)
    ]


def test_a_batch_that_takes_too_long_is_told_and_the_others_are_answered(
    directory, exported, tmp_path, monkeypatch, loaded_once
):
    known, over = exported.answer([b""], ["a square"]), threading.Event()

    def answer(self, images, texts, batch_size):
        if texts == ["slow"]:
            over.wait(60)
        return known

    monkeypatch.setattr(loaded.LoadedModel, "answer", answer)
    rows = [{"id": text, "text": text} for text in ("a", "slow", "b")]
    done = serving.predict_with_beam(directory, rows, tmp_path, batch_size=1, timeout=5)
    over.set()
    assert done["failed"] == 1
    assert [row.get("error") for row in read(tmp_path)] == [None, "no answer in 5 s", None]


def test_everything_at_addresses_and_a_process_loads_the_export_once(
    directory, exported, monkeypatch
):
    loads = []
    monkeypatch.setattr(
        beam_inference,
        "load_classifier",
        lambda where, load=loaded.load_classifier: loads.append(where) or load(where),
    )
    Bucket.objects.clear()
    for path in Path(directory).rglob("*"):
        if path.is_file():
            Bucket.objects[f"bucket://pets/1/{path.relative_to(directory)}"] = path.read_bytes()
    rows = [{"id": str(i), "text": f"a square {i}"} for i in range(8)]
    serving.predict_with_beam(
        "bucket://pets/1", rows, "bucket://out/p", batch_size=2, shard_rows=5,
        pipeline_options=THREADS,
    )  # fmt: skip
    assert len(loads) == 1 and "bucket" not in loads[0]
    written = {path: text for path, text in Bucket.objects.items() if path.startswith("bucket://o")}
    assert sorted(written) == [
        f"bucket://out/p/predictions-0000{i}-of-00002.jsonl" for i in range(2)
    ]
    found = [json.loads(line) for path in sorted(written) for line in written[path].splitlines()]
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    answer = exported.answer([b""] * 8, [row["text"] for row in rows])
    assert [row["label"] for row in found] == [label.decode() for label in answer["label"]]


def test_predictions_are_replaced_only_when_asked(directory, tmp_path, loaded_once):
    rows = [{"id": str(i), "text": "a square"} for i in range(3)]
    serving.predict_with_beam(directory, rows, tmp_path, shard_rows=1)
    with pytest.raises(FileExistsError, match="with 'predictions-00000-of-00003.jsonl'"):
        serving.predict_with_beam(directory, rows, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    serving.predict_with_beam(directory, rows, tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions-00000-of-00001.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"examples": []}, "`examples` must have an example. Received: none"),
        ({"examples": "pets.csv"}, "`examples` must be .* Received: examples='pets.csv'"),
        ({"top_k": 0}, "`top_k` must be an int .* Received: top_k=0"),
        ({"batch_size": True}, "`batch_size` must be an int .* Received: batch_size=True"),
        ({"shard_rows": 2.0}, "`shard_rows` must be an int .* Received: shard_rows=2.0"),
        ({"timeout": 0}, "`timeout` must be seconds above 0. Received: timeout=0"),
    ],
)
def test_wrong_arguments(directory, arguments, message, tmp_path):
    given = {"examples": [{"text": "a"}]} | arguments
    with pytest.raises(ValueError, match=message):
        serving.predict_with_beam(directory, given.pop("examples"), tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_what_is_not_there(directory, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="`directory` must hold .* as in pets/1"):
        serving.predict_with_beam(Path(directory).parent, [{"text": "a"}], tmp_path)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"`predict_with_beam` .* Install tatl_keras\[beam\]"):
        serving.predict_with_beam(directory, [{"text": "a"}], tmp_path)
