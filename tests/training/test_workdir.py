"""A run's folder: who may write where, and what is never lost."""

import os

import pytest

from tatl_keras import training
from tatl_keras.training import boards_projector

CONFIG = {"program": "tatl-train"}


def finish_run(path, metrics=True):
    training.write_json(path / "config.json", CONFIG)
    for name in ("history.csv", "curves.png", "model.keras", "predictions.npz", "report.html"):
        (path / name).write_text("old")
    logged = ("train/events.out.tfevents.1", "test/events.out.tfevents.1.boards")
    for name in (*logged, *(f"test/{name}" for name in boards_projector.FILES)):
        (path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "logs" / name).write_text("old")
    if metrics:
        training.write_json(path / "metrics.json", {})


def files(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    training.create_workdir(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_an_empty_folder_and_hidden_files_are_no_obstacle(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    training.create_workdir(tmp_path)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (True, "which holds a finished run. Choose another folder, or pass overwrite to replace"),
        (False, r"an unfinished run \(metrics.json is missing\). The same command goes on"),
    ],
)
def test_a_run_is_refused_and_kept(tmp_path, metrics, message):
    finish_run(tmp_path, metrics)
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match=message) as error:
        training.create_workdir(tmp_path)
    assert f"Received: workdir={str(tmp_path)!r}" in str(error.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("metrics", [True, False])
def test_only_an_unfinished_run_of_the_same_flags_goes_on(tmp_path, metrics):
    finish_run(tmp_path, metrics)
    known = {"epochs": 3, "unfreeze": ["image"], "workdir": "a", "overwrite": False}
    training.write_json(tmp_path / "config.json", CONFIG | {"flags": known})
    same = known | {"workdir": "b", "unfreeze": ("image",)}
    before = files(tmp_path)
    if metrics:
        with pytest.raises(FileExistsError, match="which holds a finished run"):
            training.create_workdir(tmp_path, flags=same)
    else:
        assert training.create_workdir(tmp_path, flags=same)
        with pytest.raises(FileExistsError, match="unfinished run with --epochs=3, not 4. The"):
            training.create_workdir(tmp_path, flags=same | {"epochs": 4})
    assert files(tmp_path) == before
    assert not training.create_workdir(tmp_path, overwrite=True, flags=same)
    assert files(tmp_path) == []


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(tmp_path):
    finish_run(tmp_path)
    kept = ["logs/mine.txt", "logs/test/mine.tsv", "logs/train/metadata.tsv", "predictions.jsonl"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    training.create_workdir(tmp_path, overwrite=True)
    assert files(tmp_path) == sorted(kept)


def test_a_certificate_of_the_data_is_no_obstacle_and_is_kept(tmp_path):
    for name in training.workdir.CERTIFICATE:
        (tmp_path / name).write_text("mine")
    assert not training.create_workdir(tmp_path)
    finish_run(tmp_path)
    training.create_workdir(tmp_path, overwrite=True)
    assert files(tmp_path) == sorted(training.workdir.CERTIFICATE)


def test_a_foreign_folder_is_refused(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / name).write_text("mine")
    message = r"which holds other files \(a.txt, b.txt, c.txt …\). .* they are kept"
    with pytest.raises(FileExistsError, match=message):
        training.create_workdir(tmp_path)
    training.create_workdir(tmp_path, overwrite=True)
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize(
    ("name", "text"),
    [("config.json", '{"program": "other"}'), ("config.json", "[]"), ("config.json", "{"),
     ("metrics.json", "{}"), ("model.keras", "x"), ("logs", None)],
)  # fmt: skip
def test_files_of_others_are_not_replaced_even_when_told(tmp_path, name, text):
    if text is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(FileExistsError, match=f"must not hold {name} of something else"):
        training.create_workdir(tmp_path, overwrite=True)
    assert os.listdir(tmp_path) == [name]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(NotADirectoryError, match="Received: workdir='.*run', a file"):
        training.create_workdir(tmp_path / "run")


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.json"
    training.write_json(path, {"name": "Käse", "accuracy": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        training.write_json(path, {"loss": float("nan")})
    with pytest.raises(TypeError):
        training.write_json(path, {"loss": object()})
    assert training.read_json(path) == {"name": "Käse", "accuracy": 0.5}
    assert os.listdir(tmp_path) == ["metrics.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="`path` must be a JSON file. Received: path='.*config"):
        training.read_json(tmp_path / "config.json")
