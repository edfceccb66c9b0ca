"""`tatl-client` against the double: lines in order, errors told, going on, comparing, drift."""

import json
import types

import pandas
import pytest
import tqdm

from tatl_keras.bin import client as program
from tatl_keras.data import synthetic
from tests.bin.conftest import read_lines, run_program, succeed

COUNT = 14


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Fourteen rows; the pictures of the third and of the last are no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    path = synthetic.write_manifest(str(folder), 3, COUNT, missing_text=0)
    table = pandas.read_csv(path)
    (folder / table["image"][2]).write_bytes(b"no picture")
    table.loc[COUNT - 1, "image"] = "images/lost.png"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def ask(server):
    """The program's words for the double's gRPC."""
    server.requests.clear()
    server.faults.clear()
    return [f"--server={server.grpc}", "--model=pets", "--batch_size=4", "--max_retries=0"]


def ids_and_texts(path):
    table = pandas.read_csv(path)
    return table["id"].tolist(), table["text"].tolist()


def test_a_manifest_gives_a_line_a_row_in_order(ask, server, manifest, loaded, tmp_path):
    path = tmp_path / "answers.jsonl"
    outcome = run_program("client", *ask, f"--data={manifest}", f"--output={path}")
    assert outcome.status == 1 and "2 of 14 examples have no answer" in outcome.err
    rows, (ids, texts) = read_lines(path), ids_and_texts(manifest)
    assert [row["id"] for row in rows] == ids
    assert [place for place, row in enumerate(rows) if "error" in row] == [2, COUNT - 1]
    assert "unreadable picture" in rows[2]["error"] and "lost.png" in rows[-1]["error"]
    folder = pandas.read_csv(manifest)["image"].map(lambda name: str(manifest)[:-12] + name)
    with open(folder[5], "rb") as file:
        answer = loaded.answer([file.read()], [texts[5]])
    assert rows[5]["label"].encode() == answer["label"][0]
    assert rows[5]["probabilities"] == pytest.approx(answer["probabilities"][0], abs=1e-6)
    assert run_program("client", *ask, f"--data={manifest}", f"--output={path}").status == 1
    outcome = run_program("client", *ask, f"--data={manifest}", f"--output={path}", "--resume")
    assert outcome.status == 1 and read_lines(path) == rows


def test_interrupted_and_resumed(ask, server, manifest, tmp_path, monkeypatch):
    path, whole = tmp_path / "answers.jsonl", tmp_path / "whole.jsonl"
    words = [*ask, f"--data={manifest}", "--in_flight=2"]
    run_program("client", *words, f"--output={whole}")

    class Bar(tqdm.tqdm):
        def update(self, count):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(program, "tqdm", types.SimpleNamespace(tqdm=Bar))
        outcome = run_program("client", *words, f"--output={path}")
    assert outcome.status == 130 and len(read_lines(path)) == 4
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"id": "cut o')
    server.requests.clear()
    run_program("client", *words, f"--output={path}", "--resume")
    assert sum(rows for _, rows, _ in server.requests) == COUNT - 4 - 1
    assert path.read_text(encoding="utf-8") == whole.read_text(encoding="utf-8")
    other = read_lines(path)
    other[1]["id"] = "another"
    path.write_text("".join(json.dumps(row) + "\n" for row in other), encoding="utf-8")
    outcome = run_program("client", *words, f"--output={path}", "--resume")
    assert outcome.status == 1 and "with 'another' in line 2" in outcome.err


def test_pictures_and_texts_on_the_command_line(ask, server, manifest, loaded):
    folder = str(manifest)[: -len("manifest.csv")]
    names = pandas.read_csv(manifest)["image"]
    pictures = [folder + names[0], folder + names[2], folder + names[1]]
    rest = [f"--server={server.rest}", "--protocol=rest", "--model=pets", "--served=stable"]
    outcome = run_program("client", *rest, *pictures, "--header=Authorization: Bearer x")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.status == 1 and [row["id"] for row in rows] == pictures
    assert ["error" in row for row in rows] == [False, True, False]
    assert server.requests[0][2]["Authorization"] == "Bearer x"
    row = json.loads(succeed("client", *ask, "--served=3", "--text=Größe 😀").out)
    answer = loaded.answer([b""], ["Größe 😀"])
    assert (row["id"], row["evidence"]) == ("text 1", "text")
    assert row["probabilities"] == pytest.approx(answer["probabilities"][0], abs=1e-7)


def test_what_the_server_says_is_one_line(ask, server):
    outcome = run_program("client", *ask[:1], "--model=cats", "--text=a")
    assert outcome.status == 1 and outcome.out == ""
    assert "NOT_FOUND: Servable not found for request: Latest(cats). The server" in outcome.err
    server.faults[:] = ["UNAVAILABLE"]
    outcome = run_program("client", *ask, "--text=a")
    assert outcome.status == 1 and "answered UNAVAILABLE: made up" in outcome.err


def test_versions_are_compared(ask, manifest):
    outcome = run_program("client", *ask, f"--data={manifest}", "--compare=stable,3")
    assert outcome.status == 1 and "2 of 14 examples could not be read" in outcome.err
    lines = dict(line.split("  ", 1) for line in outcome.out.splitlines())
    assert lines["same label"].split()[:3] == ["100.00%", "of", "12"]
    assert lines["accuracy of stable"].split() == lines["accuracy of 3"].split()
    assert "+0.00%" in lines["3 - stable"] and "p = 1" in lines["3 - stable"]
    words = [f"--data={manifest}", "--where=label=blue circle", "--label_column=none"]
    outcome = succeed("client", *ask, *words, "--compare=1,3", "--min_same=1")
    assert "accuracy" not in outcome.out
    assert run_program("client", *ask, *words, "--compare=1,3", "--min_same=1.1").status == 1


def test_drift_needs_no_server(tmp_path):
    for name, labels in {"then": "aaab", "now": "abbb"}.items():
        rows = [{"label": label, "probability": 0.5} for label in labels]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    words = [f"--drift={tmp_path / 'then.jsonl'}", f"--output={tmp_path / 'now.jsonl'}"]
    outcome = succeed("client", *words, "--max_drift=0.5")
    assert "total variation  0.5000" in outcome.out
    assert run_program("client", *words, "--max_drift=0.49").status == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--server and --model must be given"),
        (["--server=h:1", "--model=a"], "there must be pictures, --text or --data"),
        (["--compare=a"], "two versions. Received: ['a']"),
        (["--drift=a"], "--drift must have --output"),
        (["--resume"], "--resume must have --output"),
        (["--data=a.csv", "b.png"], "not both. Received: --data=a.csv and 'b.png'"),
        (["a.png", "b.png", "--text=x"], "Received: 2 pictures, 1 texts"),
        (["--server=h:1", "--model=a", "--text=x", "--header=y"], "Received: 'y'"),
    ],
)
def test_wrong_command_lines(words, message):
    outcome = run_program("client", *words)
    assert outcome.status == 2 and message in outcome.err
