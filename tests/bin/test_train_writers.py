"""Models that write, through the programs: trained, resumed, evaluated, asked and exported."""

import csv
import itertools

import keras
import numpy as np
import pytest
import sacrebleu
import tensorflow as tf
from absl.testing import flagsaver

from tatl_keras import data, models, training, zoo
from tatl_keras.bin import common, fitting, train
from tatl_keras.data import synthetic
from tests.bin.conftest import read_json, read_lines, run_program, succeed
from tests.bin.written_texts import cosine, recomputed, trigrams

CAPTION = ["--model=test_efficientnet_transformer_caption", "--sampler=greedy", "--max_length=5"]
TRANSLATE = ["--model=test_transformer_translate", "--num_beams=2", "--max_length=7"]
SCORES = ("bleu", "chrf", "exact_match")


@pytest.fixture(scope="module")
def captioner(manifest, tmp_path_factory):
    """The workdir of a captioner that was trained on the session's manifest."""
    workdir = tmp_path_factory.mktemp("runs") / "caption"
    words = [*CAPTION, f"--data={manifest}", f"--workdir={workdir}", "--epochs=2"]
    outcome = succeed("train", *words, "--validation_split=validation", "--label_smoothing=0.2")
    (workdir / ".printed").write_text(outcome.out, encoding="utf-8")
    return workdir


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A file of 40 texts and their reverses, in columns that nobody would look for."""
    path = tmp_path_factory.mktemp("data") / "pairs.csv"
    synthetic.pairs("reverse", 40, seed=2).rows.rename(
        columns={"text": "there", "target": "back"}
    ).drop(columns="group").to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def translate(pairs):
    return [*TRANSLATE, f"--data={pairs}", "--text_column=there", "--target_column=back",
            "--epochs=2", "--batch_size=8", "--checkpoint_steps=2"]  # fmt: skip


@pytest.fixture(scope="module")
def translator(translate, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "translate"
    succeed("train", *translate, f"--workdir={workdir}")
    return workdir


def test_a_captioner_is_measured(captioner, manifest, load_once):
    config = read_json(captioner, "config.json")
    assert config["model"]["task"] == "caption" and config["model"]["class_names"] is None
    assert set(config["model"]["parts"]) == {"image encoder", "decoder"}
    model = load_once(str(captioner))
    assert isinstance(model, models.Captioner) and model.loss.label_smoothing == 0.2
    assert model.optimizer.global_clipnorm == 1.0
    splits = ("train", "validation", "test")
    learned_from, _, test = data.load(str(manifest), splits, label=False, verbose=False)
    metrics, rows = recomputed(captioner, test, learned_from, model, "greedy", 5)
    assert [row["reference"] for row in rows] == [t.lower() for t in test.rows["text"] if t]
    assert set(metrics["baselines"]) == {"most_common", "unigram", "nearest"}
    tokens = [
        np.concatenate([model.image_encoder(b["images"])["tokens"].numpy().mean(1)
                        for b in model.preprocessor.dataset(some, 8, modalities=["image"])])
        for some in (learned_from, test)
    ]  # fmt: skip
    nearest = []
    texts = learned_from.rows["text"].tolist()
    taught = [row for row, text in enumerate(texts) if text]
    for one, text in zip(tokens[1], test.rows["text"], strict=True):
        cosines = [one @ tokens[0][row] / np.linalg.norm(tokens[0][row]) for row in taught]
        nearest += [texts[taught[int(np.argmax(cosines))]]] if text else []
    chrf = sacrebleu.corpus_chrf(nearest, [[row["reference"] for row in rows]]).score
    assert metrics["baselines"]["nearest"]["chrf"]["value"] == pytest.approx(chrf)
    gain = metrics["chrf"]["value"] - chrf
    assert metrics["baselines"]["nearest"]["gain"]["chrf"]["value"] == pytest.approx(gain)


def test_a_captioners_run_is_told(captioner, manifest):
    printed = (captioner / ".printed").read_text(encoding="utf-8")
    metrics = read_json(captioner, "metrics.json")
    assert (
        f"{metrics['chrf']['value']:.1f} (" in printed and "the nearest training example" in printed
    )
    assert "GreedySampler, at most 5 tokens" in printed and "texts.jsonl" in printed
    page = (captioner / "report.html").read_text(encoding="utf-8")
    for said in (
        "Worst texts",
        "Best texts",
        "perplexity of a token",
        "image_bytes",
        "data:image/",
    ):
        assert said in page
    history = training.read_history(captioner / "history.csv")
    assert {"loss", "accuracy", "perplexity", "val_perplexity"} <= set(history)
    assert tf.io.decode_png(tf.io.read_file(str(captioner / "curves.png"))).shape[0] > 300
    assert not (captioner / "predictions.npz").exists() and not (captioner / "backup").exists()


@pytest.mark.large
def test_a_captioner_is_evaluated_asked_and_exported(captioner, manifest, tmp_path, monkeypatch,
                                                     models_loaded_once):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    succeed("evaluate", f"--workdir={captioner}", *CAPTION[1:], "--output=m.json",
            "--report=r.html")  # fmt: skip
    found, known = read_json("m.json"), read_json(captioner, "metrics.json")
    for score in SCORES:
        assert found[score] == known[score]
        assert found["baselines"]["nearest"][score] == known["baselines"]["nearest"][score]
    assert found["perplexity"] == pytest.approx(known["perplexity"], rel=1e-5)
    assert "Worst texts" in (tmp_path / "r.html").read_text(encoding="utf-8")
    rows = {row["id"]: row["text"] for row in read_lines(captioner / "texts.jsonl")}
    asked = [f"--data={manifest}", "--split=test", "--format=jsonl", "--output=a.jsonl"]
    succeed("predict", f"--model={captioner}", *asked, *CAPTION[1:])
    assert {row["id"]: row["text"] for row in read_lines("a.jsonl")} == rows
    out = succeed("export", f"--workdir={captioner}", "--output=served", *CAPTION[1:]).out
    assert "7 examples asked in a new process" in out and "PICTURE" in out
    picture = manifest.parent / "images" / f"{next(iter(rows))}.png"
    words = [f"--model={captioner}", *CAPTION[1:]], ["--model=served/1"]
    tables = [succeed("predict", *some, picture).out.split("\n")[1].split() for some in words]
    assert tables[0] == tables[1] and " ".join(tables[0][2:]) == next(iter(rows.values()))
    for some, message in (
        ([*words[0], "--text=a"], "reads pictures alone. Received: --text='a'"),
        ([*words[0], picture, "--top_k=2"], "--top_k must be left out for a model that writes"),
        ([*words[1], picture, "--num_beams=2"], "--num_beams must be left out for an exported"),
    ):
        outcome = run_program("predict", *some)
        assert outcome.status == 2 and message in outcome.err


def test_a_translator_is_measured(translator, pairs, load_once):
    model = load_once(str(translator))
    assert isinstance(model, models.Translator)
    options = {"text": "there", "target": "back", "verbose": False}
    learned_from, test = data.load_pairs(str(pairs), **options)
    sampler = models.BeamSampler(2)
    metrics, rows = recomputed(translator, test, learned_from, model, sampler, 7)
    assert set(metrics["baselines"]) == {"most_common", "unigram", "nearest", "copy"}
    assert [row["source"] for row in rows] == test.rows["text"].tolist()
    sources = [row["source"] for row in rows]
    references = [row["reference"] for row in rows]
    copied = sacrebleu.corpus_chrf(sources, [references]).score
    assert metrics["baselines"]["copy"]["chrf"]["value"] == pytest.approx(copied)
    grams = [[trigrams(text) for text in some.rows["text"]] for some in (learned_from, test)]
    best = [int(np.argmax([cosine(one, other) for other in grams[0]])) for one in grams[1]]
    nearest = [learned_from.rows["target"][row] for row in best]
    chrf = sacrebleu.corpus_chrf(nearest, [references]).score
    assert metrics["baselines"]["nearest"]["chrf"]["value"] == pytest.approx(chrf)
    assert metrics["sampler"]["num_beams"] == 2 and metrics["max_length"] == 7


@pytest.mark.large
def test_a_stopped_translator_goes_on(translate, translator, tmp_path, monkeypatch):
    def stop(callback, batch, logs=None):
        if callback.model.optimizer.iterations.numpy() == 5:
            raise KeyboardInterrupt

    words = [*translate, f"--workdir={tmp_path / 'run'}"]
    with monkeypatch.context() as patched:
        patched.setattr(training.FiniteLoss, "on_train_batch_end", stop)
        assert run_program("train", *words).status == 130
    assert "Goes on with the unfinished run" in succeed("train", *words).out
    whole, resumed = (
        keras.saving.load_model(folder / "model.keras") for folder in (translator, tmp_path / "run")
    )
    for ours, theirs in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    lines = [read_lines(folder / "texts.jsonl") for folder in (translator, tmp_path / "run")]
    assert lines[0] == lines[1]


def test_a_translator_is_evaluated_asked_and_exported(translator, pairs, tmp_path, monkeypatch,
                                                      models_loaded_once):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    how = TRANSLATE[1:]
    succeed("evaluate", f"--workdir={translator}", "--output=m.json")
    found, known = read_json("m.json"), read_json(translator, "metrics.json")
    assert all(found[name] == known[name] for name in (*SCORES, "sampler", "max_length"))
    out = succeed("export", f"--workdir={translator}", "--output=served/3").out
    assert "log-probabilities" in out and "--text=TEXT" in out
    with open(pairs, newline="") as file:
        sources = [row["there"] for row in itertools.islice(csv.DictReader(file), 3)]
    texts = [f"--text={text}" for text in sources]
    answers = []
    for some in ([f"--model={translator}", *how], ["--model=served/3"]):
        succeed("predict", *some, *texts, "--format=jsonl", "--output=o.jsonl", "--overwrite")
        answers.append(read_lines("o.jsonl"))
    for ours, theirs in zip(*answers, strict=True):
        assert ours | {"log_prob": 0} == theirs | {"log_prob": 0}
        assert ours["log_prob"] == pytest.approx(theirs["log_prob"], abs=1e-4)
    assert [row["id"] for row in answers[0]] == ["text 1", "text 2", "text 3"]
    assert all(row["valid"] for row in answers[0])
    blank = run_program("predict", "--model=served/3", *texts, "--text= ", "--format=jsonl")
    assert blank.status == 1 and "1 of 4 examples could not be read" in blank.err
    (tmp_path / "new.csv").write_text("there\n" + "\n".join(sources) + "\n")
    succeed("predict", f"--model={translator}", *how, "--data=new.csv", "--output=n.jsonl")
    assert [r["text"] for r in read_lines("n.jsonl")] == [r["text"] for r in answers[0][:3]]
    outcome = run_program("predict", f"--model={translator}", "cat.jpg")
    assert outcome.status == 2 and "the model reads --text alone. Received: cat.jpg" in outcome.err


def test_a_translator_ends_with_averaged_weights(pairs, tmp_path):
    words = [*TRANSLATE, f"--data={pairs}", "--text_column=there", "--target_column=back"]
    words += ["--epochs=3", "--validation_split=validation", "--weight_averaging=greedy_soup"]
    out = succeed("train", *words, f"--workdir={tmp_path / 'run'}").out
    soup = read_json(tmp_path / "run", "metrics.json")["soup"]
    history = training.read_history(tmp_path / "run" / "history.csv")
    assert soup["accuracy"] >= max(history["val_accuracy"])
    assert f"validation accuracy  {soup['accuracy']:.1%} of next tokens; mean of epochs" in out


def test_smoke_builds_every_kind_of_model_that_writes(monkeypatch, tmp_path):
    kinds, built = {}, {}
    for name in [*zoo.list_models(task="caption"), *zoo.list_models(task="translate")]:
        if not name.startswith("test_"):
            kinds[zoo.spec(name).task, zoo.spec(name).decoder] = name

    def record(model, splits, workdir, config, **options):
        assert options["epochs"] == 1 and len(splits["train"]) == 16
        built[model.name] = config["model"]
        return {}

    monkeypatch.setattr(fitting, "fit_and_record", record)
    for name in kinds.values():
        with flagsaver.flagsaver():
            common.parse(["tatl-train", "--smoke"], train)
            train.smoke(str(tmp_path), name)
    assert list(built) == list(kinds.values()) and len(built) == 4
    for name, found in built.items():
        assert found["task"] == zoo.spec(name).task
        assert found["parts"]["decoder"]["parameters"] < 4_000_000
        assert found["encoders"].get("image", {"frozen": True})["frozen"]


def test_names_of_emoji_are_data(tmp_path):
    words = [*TRANSLATE, "--data=emoji:en-de", "--text_column=there", f"--workdir={tmp_path}/run"]
    outcome = run_program("train", *words)
    assert outcome.status == 1 and "source='emoji:en-de' with text" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*CAPTION, "--head_solver=exact"], "--head_solver must be left out for a model that writ"),
        ([*CAPTION, "--class_texts=names"], "Received: names"),
        ([*CAPTION, "--top_p=0.9"], "--top_p goes with --sampler=random"),
        (["--model=test_efficientnet_bert_concat", "--num_beams=3"],
         "--num_beams must be left out for a model that classifies. Received: 3"),
        (["--model=test_efficientnet_bert_concat", "--label_smoothing=0.3"], "Received: 0.3"),
    ],
)  # fmt: skip
def test_flags_that_do_not_go_together(words, message, tmp_path):
    outcome = run_program("train", *words, "--data=x.csv", f"--workdir={tmp_path}/run")
    assert outcome.status == 2 and message in outcome.err
    assert not (tmp_path / "run").exists()


def test_evaluating_needs_the_data_of_the_training(translator, pairs, tmp_path, models_loaded_once):
    other = tmp_path / "other.csv"
    other.write_text(pairs.read_text())
    moved = pairs.rename(tmp_path / "moved.csv")
    try:
        outcome = run_program("evaluate", f"--workdir={translator}", f"--data={other}")
    finally:
        moved.rename(pairs)
    assert outcome.status == 1 and "The data of the training must be where they were" in outcome.err
