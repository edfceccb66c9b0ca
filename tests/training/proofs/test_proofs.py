"""Each proof fails where what it proves is not so, and says why."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import training, zoo
from tatl_keras.training.proofs import PROOFS, counts, measured, papers, parity, subject
from tatl_keras.training.proofs.subject import ProofError, Subject
from tatl_keras.zoo import provenance
from tests.training.proofs import broken

IMAGE = {"image": "test_image", "fusion": "image_only"}


@pytest.fixture(autouse=True)
def few_examples(monkeypatch):
    monkeypatch.setattr(subject, "EXAMPLES", 2)
    monkeypatch.setattr(subject, "BATCH_SIZE", 2)


def entry(spoil, **parts):
    """The zoo with an entry `broken`: a tiny model that classifies, after `spoil(model)`."""
    parts = parts or IMAGE
    named = {name: part for name, part in parts.items() if name != "seed"}
    return broken.registered(lambda n, **k: zoo.compose(n, **k | parts), spoil, **named)


def reason(proof, spoil, **parts):
    """Why a proof fails of a model that was spoilt."""
    with entry(spoil, **parts):
        return broken.reason(proof)


def test_what_is_frozen():
    assert "1 of its tensors learn" in reason("frozen", broken.learn_in_secret)
    assert "image encoder should be frozen: " in reason("frozen", broken.learn_openly)
    assert "statistics of batch normalisation" in reason("frozen", broken.drift)
    assert reason("frozen", broken.stand_still) == "head should learn, and did not change in `fit`"


def test_a_seed(monkeypatch):
    monkeypatch.setattr(Subject, "fit", lambda self, model: model)

    def shake(model):
        model.head.kernel.assign(np.random.default_rng().normal(size=model.head.kernel.shape))

    assert reason("determinism", shake) == "seed=0 gave different weights the second time"
    assert "the seed has no effect" in reason("determinism", lambda model: None, **IMAGE, seed=3)
    found = training.verify("test_efficientnet_image_only", proofs=["determinism"])
    assert found.passed


def parity_of(monkeypatch, load, serve):
    """Why the proof of parity fails where `load` and `serve` change a model's bias."""
    monkeypatch.setattr(subject, "EXAMPLES", 5)
    tiny = Subject("test_efficientnet_image_only", None)
    tiny.__dict__["model"] = model = tiny.build()
    load_model = keras.saving.load_model

    def changed(path):
        loaded = load_model(path)
        loaded.head.bias.assign_add(load)
        loaded.export = lambda directory: None
        return loaded

    def answers(directory, signature, rows):
        assert signature == "serving_default"
        return {"logits": tf.constant(model.predict(rows, verbose=0) + load + serve)}

    monkeypatch.setattr(keras.saving, "load_model", changed)
    monkeypatch.setattr(parity, "_serve", answers)
    with pytest.raises(ProofError) as error:
        parity.prove(tiny)
    return str(error.value)


def test_what_is_saved_and_served(monkeypatch):
    same, other = np.zeros(3, "float32"), np.array([0, 0.25, 0], "float32")
    # The largest logit is that of a row with nothing, log 1/3: W is zero in an untrained head.
    share = f"they differ by {0.25 / np.log(3):.2g} of the largest"
    said = parity_of(monkeypatch, same, other)
    assert said.startswith(f"the model exported gives other logits: {share}")
    monkeypatch.undo()
    said = parity_of(monkeypatch, other, same)
    assert said.startswith(f"the model saved and loaded gives other logits: {share}")


def test_replicas(monkeypatch):
    class Loud(keras.layers.Dense):
        """Another factor on each replica."""

        def call(self, inputs):
            context = tf.distribute.get_replica_context()
            place = 0 if context is None else context.replica_id_in_sync_group
            return super().call(inputs) * (1.0 + tf.cast(place, tf.float32))

    def replace(model):
        options = {"preprocessor": model.preprocessor, "class_names": model.class_names}
        head = Loud(3, name="head")
        return type(model)(model.image_encoder, None, "image_only", 3, head=head, **options)

    assert "two replicas learn another " in reason("replicas", replace)
    monkeypatch.setattr(subject, "EXAMPLES", 8)
    monkeypatch.setattr(subject, "BATCH_SIZE", 8)
    no_harm = {"image": "test_image", "text": "test_text", "fusion": "no_harm"}
    with entry(lambda model: None, **no_harm):
        found = training.verify("broken", proofs=["replicas"]).proofs["replicas"]
    assert found["passed"] is None and "each replica draws its own" in found["reason"]


def test_numbers_of_papers(monkeypatch):
    claim = papers.Claim("test_image", "parameters", 1e6, "Nobody 1999, table 0")
    monkeypatch.setattr(papers, "CLAIMS", (claim,))
    said = reason("counts", lambda model: None)
    count = Subject("test_efficientnet_image_only", None).ask_weightless(
        lambda model: counts.number(model.image_encoder.trainable_weights)
    )
    assert count == 0  # all frozen: what could learn is counted
    assert "test_image has 2,928 parameters, Nobody 1999, table 0 1,000,000: the ratio" in said
    rows, wrong = papers.compare("test_image", {"learnable": 1_010_000, "flops": 0, "channels": 1})
    assert not wrong and rows[0]["ours"] == 1_010_000
    assert papers.compare("test_image", {"learnable": 980_000, "flops": 0, "channels": 1})[1]


def test_operations_that_two_counts_do_not_agree_on(monkeypatch):
    monkeypatch.setattr(counts, "_COUNTED", {})
    monkeypatch.setattr(counts.encoders, "count_flops", lambda *args, **sizes: 5)
    assert "has 5 operations by the equations of its layers and 211,456" in reason(
        "counts", lambda model: None
    )


def test_parameters_that_kerashub_names(monkeypatch):
    monkeypatch.setattr(papers, "preset_parameters", lambda name: 5_000)
    assert "should have the 5,000 parameters that KerasHub" in reason("counts", lambda model: None)
    monkeypatch.undo()
    assert papers.preset_parameters("bert_base") == 109_482_240
    assert papers.preset_parameters("clip_text_b16") == 149_620_934
    assert papers.preset_parameters("lstm") is papers.preset_parameters("sasa_resnet26") is None


def test_sizes_that_should_be_refused():
    def take_all(model):
        model.image_encoder.compute_output_shape = lambda shape: {"tokens": (1, 4, 4)}

    parts = {"image": "test_vit", "fusion": "image_only"}
    said = reason("input_sizes", take_all, **parts)
    assert said == "the image encoder should refuse pictures of (64, 96), and takes them"


def test_weights_that_are_others_than_their_notes_say(monkeypatch):
    notes = "## Provenance\nA wheel, of 2020.\n## Licence\nApache License 2.0: it says so.\n"
    monkeypatch.setattr(provenance, "_notes", lambda path: notes)
    found = training.verify("minilm_text_only", proofs=["licences"]).proofs["licences"]
    assert "should name the SHA-256 of its weights, f68637b8" in found["reason"]
    monkeypatch.setattr(provenance, "_notes", lambda path: "Nothing.")
    found = training.verify("minilm_text_only", proofs=["licences"]).proofs["licences"]
    assert "should name a licence and a provenance" in found["reason"]


def test_results_without_conditions_or_controls(tmp_path):
    row = dict.fromkeys(measured.CONDITIONS, "x") | {"accuracy": "0.5", "data": "d"}
    row |= {"num_train": "9", "num_examples": "9"}

    def write(name, seeds, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        rows = [{**row, "seed": seed, **changes} for seed in seeds]
        lines = [",".join(rows[0]), *(",".join(each.values()) for each in rows)]
        (tmp_path / name / "results.csv").write_text("\n".join(lines) + "\n")

    pair = Subject("efficientnet_lite0_minilm_concat", None)
    assert measured.prove(pair, tmp_path)["facts"] == {"seeds": []}
    write(pair.name, "012", commit="")
    with pytest.raises(ProofError, match="should name the commit of each row"):
        measured.prove(pair, tmp_path)
    write(pair.name, "012")
    write("efficientnet_lite0_image_only", "01")
    with pytest.raises(
        ProofError, match="control efficientnet_lite0_image_only should be measured"
    ):
        measured.prove(pair, tmp_path)
    write("efficientnet_lite0_image_only", "012")
    write("minilm_text_only", "012")
    for change in ({"data": "e"}, {"num_examples": "8"}, {"num_train": "8"}):
        write("minilm_text_only", "012", **change)
        with pytest.raises(ProofError, match="minilm_text_only should be measured with seed=0 dat"):
            measured.prove(pair, tmp_path)
    write("minilm_text_only", "012")
    found = measured.prove(pair, tmp_path)
    assert found["facts"]["accuracy"] == 0.5 and len(found["facts"]["controls"]) == 2


def test_an_error_is_a_failure_with_its_text():
    def explode(model):
        raise RuntimeError("a wire came loose")

    assert reason("determinism", explode) == "RuntimeError: a wire came loose"
    with pytest.raises(ValueError, match="must be among counts, .* Received: proofs='frost'"):
        training.verify("test_sasa", proofs=["frost"])
    with pytest.raises(ValueError, match="Did you mean test_sasa"):
        training.verify("test_sassa")


def test_differences_from_what_is_written():
    proofs = {
        "counts": {"passed": True, "facts": {"parameters": 7, "classes": 10, "layers": None}},
        "frozen": {"passed": True, "facts": {}},
        "speed": {"passed": True, "facts": {}, "measured": {"references": 8.0, "bytes": 2**27}},
    }
    done = training.Verification("x", proofs, {}, {})
    assert done.differences({"proofs": proofs}) == [] and done.passed
    written = {
        "counts": {"passed": True, "facts": {"parameters": 8, "classes": 10, "tokens": 64}},
        "speed": proofs["speed"] | {"measured": {"references": 1.9, "bytes": 2**28}},
    }
    assert done.differences({"proofs": written}) == [
        "counts: layers, parameters, tokens changed",
        "frozen was not made, now passed=True: ",
        "speed: references was 1.9, is 8",
    ]
    failed = dataclasses.replace(done, proofs={"frozen": {"passed": False, "reason": "it thawed"}})
    assert failed.failed == ["frozen"] and "FAILED       it thawed" in str(failed)
    assert failed.differences({"proofs": proofs}) == [
        "frozen had passed=True, now passed=False: it thawed"
    ]
    assert set(PROOFS) > set(proofs)
