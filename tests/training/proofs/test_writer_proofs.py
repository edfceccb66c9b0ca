"""Each proof fails of a model that writes where what it proves is not so, and says why."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models, training, zoo
from tatl_keras.models.text_generator import TextGenerator
from tatl_keras.training.proofs import measured, parity, replicas, speed, subject
from tatl_keras.training.proofs.decoder_parameters import decoder_parameters
from tatl_keras.training.proofs.subject import ProofError, digest
from tatl_keras.training.proofs.writer import Writer
from tatl_keras.zoo import card_texts
from tests.training.proofs import broken

CAPTION, TRANSLATE = "test_efficientnet_transformer_caption", "test_transformer_translate"


@pytest.fixture(autouse=True)
def few_examples(monkeypatch):
    monkeypatch.setattr(subject, "EXAMPLES", 2)
    monkeypatch.setattr(subject, "BATCH_SIZE", 2)
    monkeypatch.setattr(subject, "peak_memory", lambda fit: 0)


def entry(spoil, base, **options):
    """The zoo with an entry `broken`: a tiny model that writes, after `spoil(model)`."""
    spec = zoo.spec(base)
    parts = {name: getattr(spec, name) for name in ("image", "text", "decoder", "task")}
    return broken.registered(lambda _, **k: zoo.build(base, **k | options), spoil, **parts)


def reason(proof, spoil, base=CAPTION, **options):
    """Why a proof fails of a model that was spoilt."""
    with entry(spoil, base, **options):
        return broken.reason(proof)


def run_eagerly(model):
    if model.compiled:
        model.compile(run_eagerly=True)


def test_nothing_is_wrong():
    proofs = ["counts", "input_sizes", "licences", "measured", "frozen"]
    with entry(run_eagerly, CAPTION):
        done = training.verify("broken", proofs=proofs)
    assert done.passed and all(proof["passed"] for proof in done.proofs.values()), str(done)
    facts = {name: proof["facts"] for name, proof in done.proofs.items()}
    parameters = facts["counts"]["parameters"]
    assert parameters["learned"] == parameters["decoder"] == 9_008
    assert parameters["total"] == parameters["image"] + parameters["decoder"]
    assert facts["counts"]["flops"] == {"image": 211_456}
    assert facts["input_sizes"]["written"] == {"default": 11, "most": 11}
    assert facts["frozen"]["kept"] == ["image"] and facts["frozen"]["changed"] == ["decoder"]
    assert facts["frozen"]["statistics"] > 0


def test_what_is_frozen_and_what_learns():
    assert "1 of its tensors learn" in reason("frozen", broken.learn_in_secret)

    def freeze_decoder(model):
        model.decoder.trainable = False
        model.compile(run_eagerly=True)

    said = reason("frozen", freeze_decoder, TRANSLATE)
    assert said == "decoder should learn, and did not change in `fit`"


@pytest.mark.large
def test_statistics_and_encoders_that_learn():
    assert "statistics of batch normalisation" in reason("frozen", broken.drift)

    def freeze_encoder(model):
        model.text_encoder.trainable = False
        model.compile(run_eagerly=True)

    assert reason("frozen", freeze_encoder, TRANSLATE).startswith("text should learn")


def test_a_seed(monkeypatch):
    monkeypatch.setattr(Writer, "fit", lambda self, model: model)

    def shake(model):
        kernel = model.decoder.memory_dense.kernel
        kernel.assign(np.random.default_rng().normal(size=kernel.shape))

    assert reason("determinism", shake) == "seed=0 gave different weights the second time"
    assert "the seed has no effect" in reason("determinism", lambda model: None, seed=3)


def test_decoders_that_are_not_what_they_say():
    def grow(model):
        model.decoder.num_layers += 1

    said = reason("counts", grow)
    assert said.startswith("the decoder should have ") and "and has 9,008" in said

    def take_all(model):
        model.decoder.compute_output_shape = lambda *shapes: shapes

    said = reason("input_sizes", take_all)
    assert said == "the decoder should refuse 12 tokens, and takes them"


def test_parameters_by_equations():
    decoders = [
        models.TransformerDecoder(
            11, hidden_dim=6, num_layers=3, num_heads=2, intermediate_dim=7, max_length=5
        ),
        models.TransformerDecoder(13, hidden_dim=4, num_layers=1, num_heads=1, max_length=3),
        models.LSTMDecoder(11, hidden_dim=5, embedding_dim=3, attention_dim=7),
    ]
    for decoder in decoders:
        decoder.build((None, None), (None, None, 17))
        assert decoder_parameters(decoder, 17) == decoder.count_params()
    assert decoder_parameters(models.Decoder(11, hidden_dim=5), 17) is None


@pytest.fixture(scope="module")
def translator():
    """A tiny one after a step, and what proofs ask of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "EXAMPLES", 8)
        found = Writer(TRANSLATE, None)
    found.__dict__["model"] = model = found.build()
    model.compile(run_eagerly=True)
    found.fit(model)
    model.compile()
    return found


def test_texts_differ_at_work_and_nothing_remains_of_it(translator):
    before = digest(translator.model.weights)
    with translator.at_work() as model:
        assert digest(model.weights) != before
        answers = translator.answers(model, translator.rows())
    assert digest(translator.model.weights) == before
    assert len(set(answers["texts"][:-1])) > 3
    assert answers["valid"].tolist() == [True] * 5 + [False]
    assert answers["texts"][-1] == "" and answers["log_probs"][-1] == 0


def test_what_is_exported(translator, monkeypatch):
    found = parity.prove(translator)
    assert found["facts"] == {"rows": 6} and found["measured"]["difference"] < 1e-5
    assert "different ones; log-probabilities of saved" in found["result"]
    export = TextGenerator.export
    monkeypatch.setattr(TextGenerator, "export", lambda self, to: export(self, to, max_length=2))
    with pytest.raises(ProofError, match="the model exported gives other texts: .* in row 0, not"):
        parity.prove(translator)


def test_what_is_saved(translator, monkeypatch):
    with translator.at_work() as model:
        answers = translator.answers(model, translator.rows())
    right = {name: tf.constant(value[:, None]) for name, value in answers.items()}
    right |= {"texts": tf.constant([[text] for text in answers["texts"].tolist()])}
    right |= {"valid": tf.constant(answers["valid"])}
    monkeypatch.setattr(TextGenerator, "save", lambda self, to: None)
    monkeypatch.setattr(keras.saving, "load_model", lambda path: Mute())
    monkeypatch.setattr(parity, "_serve", lambda *asked: right)
    assert parity.prove(translator)["measured"]["difference"] == 0
    right["texts"] = right["texts"][::-1]
    with pytest.raises(ProofError, match="the model saved and loaded gives other texts:  in row 0"):
        parity.prove(translator)


def test_answers_are_compared():
    ours = {
        "texts": np.array(["a", "b c"]),
        "log_probs": np.array([-4.0, -2.0]),
        "valid": np.array([True, True]),
    }
    assert parity._difference(ours, ours)[0] == 0
    found = parity._difference(ours | {"log_probs": np.array([-4.0, -2.5])}, ours)
    assert found == (0.125, "log_probs: they differ by 0.12 of the largest in row 1")
    assert parity._difference(ours | {"log_probs": np.array([np.nan, -2.0])}, ours)[0] == np.inf
    found = parity._difference(ours | {"valid": np.array([True, False])}, ours)
    assert found == (np.inf, "valid: False in row 1, not True")
    found = parity._difference(ours | {"texts": np.array(["a", "b"])}, ours)
    assert found == (np.inf, "texts: b in row 1, not b c")
    with pytest.raises(ProofError, match=r"the export gives valid \(1,\), the model \(2,\)"):
        parity._difference(ours | {"valid": np.array([True])}, ours)


class Mute:
    """Stands for a loaded model that writes nothing."""

    def export(self, directory):
        pass

    def generate(self, rows, return_details):
        return [models.Generation("", True, 0.0, 0.0, True, ())] * 6


def test_writing_is_timed(translator, monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", 1)
    monkeypatch.setattr(speed, "SECONDS", 0)
    translator.memory = 2**29
    found = speed.prove(translator)
    assert ": a text takes " in found["result"] and " texts/s); " in found["result"]
    assert found["facts"]["memory"] == "up to 1 GB"
    translator.memory = None
    with pytest.raises(subject.NotCheckedError, match="needs Linux"):
        speed.prove(translator)


def test_nothing_is_dropped_where_replicas_are_compared():
    dropping = {"dropout": 0.5, "encoder_arguments": {"hidden_dim": 8, "dropout": 0.5}}
    model = zoo.build(TRANSLATE, seed=1, **dropping)
    ids, mask = np.array([[2, 7, 5, 3]]), np.ones((1, 4), "int32")
    inputs = {"token_ids": ids, "source_ids": ids, "padding_mask": mask}
    calm = np.asarray(model(inputs, training=False))
    assert np.abs(model(inputs, training=True) - calm).max() > 1e-3
    replicas._drop_nothing(model)
    np.testing.assert_array_equal(model(inputs, training=True), calm)


@pytest.mark.large
def test_replicas():
    def scale(model):
        """The second replica takes its loss for twice as large."""

        def of_whole_batch(loss, *rest):
            context = tf.distribute.get_replica_context()
            place = 0 if context is None else context.replica_id_in_sync_group
            return loss * (1.0 + tf.cast(place, tf.float32))

        object.__setattr__(model, "of_whole_batch", of_whole_batch)

    assert "two replicas learn another " in reason("replicas", scale, TRANSLATE)


def test_results_without_conditions_or_baselines(tmp_path):
    captions = Writer("efficientnet_lite0_lstm_caption", None)
    metrics = {score: {"value": 40.0} for score in card_texts.SCORES}
    metrics |= {"perplexity": 4.0, "unigram_perplexity": 90.0}
    row = card_texts.result_row(metrics | {"baselines": {"nearest": metrics, "copy": metrics}})
    row |= dict.fromkeys(measured.CONDITIONS, "x") | {"data": "d"}

    def said(**changes):
        rows = [{**row, "seed": seed, **changes} for seed in "01"]
        kept = [name for name in rows[0] if rows[0][name] is not None]
        lines = [",".join(kept), *(",".join(str(each[name]) for name in kept) for each in rows)]
        (tmp_path / captions.name).mkdir(exist_ok=True)
        (tmp_path / captions.name / "results.csv").write_text("\n".join(lines) + "\n")
        try:
            return measured.prove(captions, tmp_path)
        except ProofError as error:
            return str(error)

    assert measured.prove(captions, tmp_path)["facts"] == {"seeds": []}
    assert said()["facts"] == {
        "chrf": 40.0,
        "seeds": ["0", "1"],
        "data": "d",
        "baselines": ["nearest", "copy"],
    }
    assert said()["result"] == "chrF 40.0 over 2 seeds, beside 2 baselines"
    assert said(commit="") == "results.csv should name the commit of each row"
    assert said(unigram_perplexity=None) == "results.csv should have the column unigram_perplexity"
    assert said(nearest_chrf=None) == "results.csv should have the column nearest_chrf"
    assert said(copy_bleu=None) == "results.csv should have the column copy_bleu"
    assert said(bleu=40.00001) == "results.csv should have bleu to four digits: 40.00001"
