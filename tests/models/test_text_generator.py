"""Teaching and testing models that write, and what they write, by numbers found another way."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import tree

from tatl_keras import models, zoo
from tatl_keras.models import targets
from tests.models import writers

DECODERS = ("transformer", "lstm")
PAD, CLS, SEP = 0, 2, 3


@pytest.fixture(scope="module", params=DECODERS)
def captioner(request):
    return writers.captioner(request.param)


def decoder_of(kind, **options):
    if kind == "lstm":
        return models.LSTMDecoder(13, hidden_dim=6, embedding_dim=4, attention_dim=3, seed=2)
    options = {"hidden_dim": 6, "num_layers": 2, "num_heads": 2, "max_length": 9} | options
    return models.TransformerDecoder(13, dropout=0.0, seed=2, **options)


def scramble(model, seed=0):
    """Other weights, so that what is written differs from row to row; eager from now on."""
    rng = np.random.default_rng(seed)
    for weight in model.decoder.trainable_weights:
        if len(weight.shape) > 1:
            size = 0.1 if "embed" in weight.path else 1.0
            weight.assign(rng.normal(size=weight.shape) * size)
    model.run_eagerly = True


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def greedy(model, memory, mask, longest):
    """Greedy search with a whole call of the decoder for every token: no caches."""
    refused = [PAD, 1, CLS, 4]  # padding, unknown, start, mask
    rows = []
    for row in range(len(memory)):
        tokens, total = [CLS], 0.0
        while len(tokens) <= longest and (len(tokens) == 1 or tokens[-1] != SEP):
            ids, one = np.array([tokens], "int32"), (memory[row : row + 1], mask[row : row + 1])
            logits = np.asarray(model.decoder(ids, *one)[0, -1], "float64")
            logits[refused] = -np.inf
            log_probs = log_softmax(logits)
            tokens.append(int(log_probs.argmax()))
            total += log_probs.max()
        rows.append((tokens[1:], total))
    return rows


@pytest.mark.parametrize("kind", DECODERS)
def test_generation_from_caches_is_that_of_whole_calls(kind):
    model = writers.random_captioner(decoder_of(kind))
    scramble(model)
    memory, mask = writers.features()
    found = model.generate(
        {"image_tokens": memory, "image_mask": mask}, max_length=8, return_details=True
    )
    expected = greedy(model, memory, mask, 8)
    assert len({tuple(tokens) for tokens, _ in expected}) > 1
    assert any(tokens[-1] == SEP for tokens, _ in expected)
    for one, (tokens, total) in zip(found, expected, strict=True):
        assert one.finished == (tokens[-1] == SEP)
        words = tokens[:-1] if one.finished else tokens
        assert one.tokens == tuple(writers.PIECES[token] for token in words)
        assert one.text == " ".join(one.tokens)
        assert one.log_prob == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("sampler", ["greedy", "beam"])
def test_what_xla_compiles_writes_the_same(sampler):
    model = writers.random_captioner(decoder_of("transformer", num_layers=1))
    scramble(model)
    memory, mask = writers.features()
    asked = {"image_tokens": memory, "image_mask": mask}
    texts, step, seen = [], model.decoder.step, []

    def look(*arguments):
        seen.append(tf.executing_eagerly())
        return step(*arguments)

    model.decoder.step = look
    for how in ({"run_eagerly": True}, {"jit_compile": True}):
        model.compile(**how)
        texts.append(model.generate(asked, sampler=sampler, max_length=6, return_details=True))
    assert seen == [True] * (len(seen) - 1) + [False]  # traced, and once
    (writer,) = model._writers.values()
    batch = {**asked, "row": np.arange(len(memory), dtype=np.int32)}
    graph = writer.get_concrete_function([tree.map_structure(tf.constant, batch)]).graph
    assert any(one.attr["_XlaMustCompile"].b for one in graph.as_graph_def().library.function)
    assert [one.tokens for one in texts[0]] == [one.tokens for one in texts[1]]
    logs = [[one.log_prob for one in rows] for rows in texts]
    np.testing.assert_allclose(*logs, atol=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_attention_is_that_of_whole_calls(kind):
    model = writers.random_captioner(decoder_of(kind))
    scramble(model)
    memory, mask = writers.features()
    (one, *_) = model.generate(
        {"image_tokens": memory, "image_mask": mask}, max_length=5, return_details=True
    )
    ids = [CLS, *(writers.PIECES.index(piece) for piece in one.tokens)][: len(one.tokens)]
    _, scores = model.decoder(np.array([ids]), memory[:1], mask[:1], return_attention_scores=True)
    np.testing.assert_allclose(one.attention, scores[0], atol=1e-6)
    np.testing.assert_array_equal(one.attention[:, 4:], 0)


def test_a_beam_finds_what_is_at_least_as_likely(captioner):
    model, examples = captioner
    plain = {"sampler": models.BeamSampler(num_beams=6, length_penalty=0.0), "max_length": 6}
    narrow = model.generate(examples, max_length=6, return_details=True)
    wide = model.generate(examples, **plain, return_details=True)
    gains = [w.log_prob - n.log_prob for w, n in zip(wide, narrow, strict=True)]
    assert min(gains) >= -1e-5


def test_rows_do_not_know_of_each_other(captioner):
    model, examples = captioner
    whole = model.generate(examples, sampler="beam", return_details=True)
    turned = {name: column[::-1] for name, column in examples.items()}
    parts = model.generate(turned, sampler="beam", batch_size=2, return_details=True)[::-1]
    assert [one.text for one in whole] == [one.text for one in parts]
    logs = [[one.log_prob for one in rows] for rows in (whole, parts)]
    np.testing.assert_allclose(*logs, atol=1e-5)


def test_where_there_is_no_picture_there_is_no_caption(captioner):
    model, examples = captioner
    images = [examples["image"][0], b"", examples["image"][1], None]
    found = model.generate({"image": images}, return_details=True)
    assert [one.valid for one in found] == [True, False, True, False]
    assert (found[1].text, found[1].tokens, found[1].log_prob, found[1].score) == ("", (), 0, 0)
    alone = model.generate({"image": images[::2]})
    assert [found[0].text, found[2].text] == alone


def test_a_cache_changes_nothing(captioner):
    model, examples = captioner
    plain = model.generate(examples, return_details=True)
    cached = model.generate(examples, feature_cache="memory", return_details=True)
    assert [one.text for one in plain] == [one.text for one in cached]
    losses = [model.evaluate(examples, verbose=0, feature_cache=c) for c in (None, "memory")]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_what_is_saved_writes_the_same(captioner, tmp_path):
    model, examples = captioner
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.generate(examples, sampler="beam") == model.generate(examples, sampler="beam")
    assert again.image_encoder.frozen and not again.image_encoder.trainable_weights
    assert int(again.optimizer.iterations.numpy()) == 1
    again.fit(examples, verbose=0)
    assert int(again.optimizer.iterations.numpy()) == 2


def test_several_texts_a_row(captioner):
    model, examples = captioner
    found = model.generate(examples, sampler=models.BeamSampler(3, num_return=2))
    assert [len(row) for row in found] == [2] * 6 and all(row[0] != row[1] for row in found)


def taught(texts, bidirectional=False):
    backward = decoder_of("transformer") if bidirectional else None
    model = writers.random_captioner(decoder_of("transformer"), backward)
    ids = targets._tokenised(model.target_preprocessor)(None, tf.constant(texts))[1]
    x, y, weight = targets.taught(model)({}, ids)
    return x["token_ids"].numpy(), y.numpy(), weight.numpy()


def test_each_place_is_taught_the_next_word():
    x, y, weight = taught(["a b", "", "c c c c c c c c"])
    assert x.tolist() == [
        [CLS, 5, 6, SEP, PAD, PAD, PAD],
        [PAD] * 7,
        [CLS, *[7] * 6],
    ]
    assert y.tolist() == [[5, 6, SEP, PAD, PAD, PAD, PAD], [PAD] * 7, [*[7] * 6, SEP]]
    assert weight.tolist() == [[1, 1, 1, 0, 0, 0, 0], [0] * 7, [1] * 7]


def test_two_directions_are_taught_both():
    x, y, weight = taught(["a b c", "", "b"], bidirectional=True)
    assert x.shape == y.shape == weight.shape == (3, 2, 4)  # as long as the longest
    assert x[0].tolist() == [[CLS, 5, 6, 7], [CLS, 7, 6, 5]]
    assert y[0].tolist() == [[5, 6, 7, SEP], [7, 6, 5, SEP]]
    assert y[2].tolist() == [[6, SEP, PAD, PAD]] * 2
    assert not weight[1].any() and not x[1].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_mean_over_real_tokens(smoothing):
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(2, 3, 5)), rng.integers(0, 5, (2, 3))
    weight = np.array([[1, 1, 0], [2, 0, 0]], "float64")
    targets_ = np.full((2, 3, 5), smoothing / 5)
    np.put_along_axis(targets_, y[..., None], 1 - smoothing + smoothing / 5, -1)
    expected = (-(targets_ * log_softmax(logits)).sum(-1) * weight).sum() / weight.sum()
    loss = models.TokenCrossentropy(smoothing)(y, logits, sample_weight=weight)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    again = models.TokenCrossentropy.from_config(models.TokenCrossentropy(smoothing).get_config())
    assert float(again(y, logits, sample_weight=weight)) == pytest.approx(expected, rel=1e-5)


def test_metrics_count_real_tokens_alone():
    model = writers.translator()
    model.run_eagerly = True
    pairs = writers.reversal(7)
    loss, accuracy, perplexity = model.evaluate(pairs, batch_size=3, verbose=0)
    right = total = 0.0
    count = 0
    for x, y, weight in targets.target_batches(model, pairs, batch_size=7):
        log_probs = log_softmax(model(x).numpy().astype("float64"))
        told = np.take_along_axis(log_probs, y.numpy()[..., None], -1)[..., 0]
        real = weight.numpy() > 0
        right += (log_probs.argmax(-1) == y.numpy())[real].sum()
        total += told[real].sum()
        count += real.sum()
    assert count == sum(len(text.split()) + 1 for text in pairs["target"])
    assert accuracy == pytest.approx(right / count) and loss > 0
    assert perplexity == pytest.approx(np.exp(-total / count), rel=1e-4)


def test_a_cache_teaches_the_same():
    examples, weights = writers.captions(6), []
    for cache in (None, "memory"):
        model = zoo.build("test_efficientnet_transformer_caption", seed=5)
        model.compile(run_eagerly=True)
        keras.utils.set_random_seed(1)
        model.fit(examples, batch_size=4, epochs=2, feature_cache=cache, verbose=0)
        weights.append([weight.numpy() for weight in model.decoder.weights])
    for plain, cached in zip(*weights, strict=True):
        np.testing.assert_allclose(plain, cached, atol=1e-5)


@pytest.mark.parametrize("kind", ["transformer", pytest.param("lstm", marks=pytest.mark.large)])
@pytest.mark.parametrize("turn", [-1, pytest.param(1, marks=pytest.mark.large)])
def test_copying_and_reversing_are_learned(kind, turn):
    keras.utils.set_random_seed(0)
    model = writers.translator(kind)
    rates = keras.optimizers.schedules.CosineDecay(0.005, 500)
    model.compile(keras.optimizers.Adam(rates, global_clipnorm=1.0))
    rng = np.random.default_rng(0)
    texts = rng.permutation(sorted(set(writers.sentences(3000))))
    unseen, texts = texts[:200], rng.choice(texts[200:], 2000)
    turned = [[" ".join(text.split()[::turn]) for text in some] for some in (unseen, texts)]
    model.fit({"text": texts, "target": turned[1]}, epochs=10, batch_size=40, verbose=0)
    written = model.generate({"text": unseen})
    assert np.mean([a == b for a, b in zip(written, turned[0], strict=True)]) >= 0.99


@pytest.mark.parametrize("kind", ["transformer", pytest.param("lstm", marks=pytest.mark.large)])
def test_thirty_two_captions_are_learned_by_heart(kind):
    keras.utils.set_random_seed(0)
    examples = writers.captions(32)
    model = zoo.build(f"test_efficientnet_{kind}_caption", seed=1, hidden_dim=64)
    model.compile(keras.optimizers.Adam(0.005), loss=models.TokenCrossentropy(0.0))
    model.fit(examples, epochs=200, feature_cache="memory", verbose=0)
    assert model.generate(examples, feature_cache="memory") == examples["text"]
