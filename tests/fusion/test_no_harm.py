"""The head that mixes experts, against probabilities found by enumeration."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import fusion

PRIOR = np.array([0.5, 0.3, 0.2])
# What a picture (4 kinds) and a text (2 kinds) look like, given the class.
IMAGE = np.array([[0.6, 0.2, 0.1, 0.1], [0.1, 0.5, 0.2, 0.2], [0.1, 0.1, 0.3, 0.5]])
TEXT = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
CORRUPTION = 0.25


def _exact_head(**kwargs):
    """A head whose experts are exact: what Bayes' rule says of picture, of text and of both."""
    head = fusion.NoHarmHead(3, 6, 4, 2, corruption=CORRUPTION, **kwargs)
    head.build((None, 14))
    log_prior = np.log(PRIOR)
    head.joint.set_weights([np.log(np.concatenate([IMAGE.T, TEXT.T])), log_prior])
    head.image.set_weights([np.log(IMAGE.T), log_prior])
    head.text.set_weights([np.log(TEXT.T), log_prior])
    head.prior.assign(log_prior + 5)  # only its softmax counts
    return head


def _rows(image, text, has_image=1, has_text=1):
    image, text = np.eye(4)[image], np.eye(2)[text]
    has = np.tile([[has_image, has_text]], (len(image), 1))
    return np.concatenate([image, text, image, text, has], 1).astype("float32")


def _world():
    """P(class, picture, text, whether they belong together), by enumeration."""
    world = np.zeros((3, 4, 2, 2))
    for c in range(3):
        for i in range(4):
            for t in range(2):
                world[c, i, t, 1] = (1 - CORRUPTION) * PRIOR[c] * IMAGE[c, i] * TEXT[c, t]
                for other in range(3):  # the class of the picture that the text was taken from
                    wrong = CORRUPTION * PRIOR[c] * IMAGE[c, i] * PRIOR[other] * TEXT[other, t]
                    world[c, i, t, 0] += wrong
    np.testing.assert_allclose(world.sum(), 1)
    return world


def test_the_mixture_is_bayes_rule():
    world = _world()
    images, texts = (places.ravel() for places in np.meshgrid(range(4), range(2), indexing="ij"))
    expected = world.sum(3)[:, images, texts]
    answers = np.exp(_exact_head()(_rows(images, texts)))
    np.testing.assert_allclose(answers, (expected / expected.sum(0)).T, atol=1e-6)
    belongs = world.sum(0)[images, texts]
    odds = np.log(belongs[:, 1] / belongs[:, 0]) - np.log((1 - CORRUPTION) / CORRUPTION)
    np.testing.assert_allclose(_exact_head().agreement(_rows(images, texts)), odds, atol=1e-6)


@pytest.mark.parametrize(
    ("has_image", "has_text", "axes"), [(1, 0, (2,)), (0, 1, (1,)), (0, 0, (1, 2))]
)
def test_what_is_missing_is_summed_out(has_image, has_text, axes):
    expected = _world()[:, :, :, 1].sum(axes, keepdims=True)[:, [0], [0]]
    rows = _rows([0], [0], has_image, has_text)
    answers = np.exp(_exact_head()(rows))
    np.testing.assert_allclose(answers, (expected / expected.sum(0)).T, atol=1e-6)
    assert not _exact_head().agreement(rows).numpy().any()


def test_corruption_is_a_weight_that_is_saved_and_never_trained(tmp_path):
    head = _exact_head()
    rows = _rows([0], [1])
    inputs = keras.Input((14,))
    model = keras.Model(inputs, head(inputs))
    image = np.exp(head(_rows([0], [1], has_text=0)))
    distances = []
    for corruption in (0.01, 0.5, 1 - 1e-7):
        head.corruption = corruption
        assert head.corruption == pytest.approx(corruption, rel=1e-6)
        distances.append(float(np.abs(np.exp(model(rows)) - image).max()))
    assert distances[0] > distances[1] > 0.01 and distances[2] < 1e-6
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(rows), model(rows))
    assert [w.path for w in head.non_trainable_weights if "log_odds" in w.path]
    assert not [w.path for w in head.trainable_weights if "log_odds" in w.path]


@pytest.mark.parametrize(
    ("has_image", "has_text", "readers"),
    [(1, 1, {"joint", "image", "text"}), (1, 0, {"image"}), (0, 1, {"text"}), (0, 0, set())],
)
def test_in_training_every_expert_learns_from_what_it_can_read(has_image, has_text, readers):
    """The mean gradient over many draws is that of the sum of the experts' losses."""
    head = _exact_head(seed=3)
    rows = np.repeat(_rows([2], [1], has_image, has_text), 4000, 0)
    label = 1
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(head(rows, training=True)[:, label])
    biases = {name: getattr(head, name).bias for name in ("joint", "image", "text")}
    biases["prior"] = head.prior
    found = tape.gradient(
        loss, {name: bias.value for name, bias in biases.items()}, unconnected_gradients="zero"
    )
    world = _world()[:, :, :, 1]
    exact = {
        "joint": world[:, 2, 1],
        "image": world[:, 2].sum(1),
        "text": world[:, :, 1].sum(1),
        "prior": PRIOR,
    }
    for name, p in exact.items():
        expected = p / p.sum() - np.eye(3)[label] if name in {*readers, "prior"} else np.zeros(3)
        np.testing.assert_allclose(found[name], expected, atol=0.06, err_msg=name)


def test_the_draws_follow_the_seed():
    rows = _rows([2] * 50, [1] * 50)
    first, same, other = (_exact_head(seed=s)(rows, training=True).numpy() for s in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    assert len(np.unique(first.round(4), axis=0)) == 4  # joint, image, text, prior


def test_the_fusion_makes_the_head_that_fits_it(rng):
    features = {
        "image_pooled": rng.normal(size=(2, 3)), "has_image": np.array([1, 0]),
        "text_pooled": rng.normal(size=(2, 5)), "has_text": np.array([1, 1]),
    }  # fmt: skip
    layer = fusion.NoHarmFusion("gated", corruption=0.2, seed=1)
    fused = layer(features)
    head = layer.make_head(7)
    assert head(fused).shape == (2, 7) and head.corruption == pytest.approx(0.2)
    assert (head.fused_dim, head.image_dim, head.text_dim) == (256, 3, 5)
    np.testing.assert_allclose(np.exp(head(fused)), 1 / 7, rtol=1e-6)
    assert layer.seed != layer.fusion.seed


@pytest.mark.parametrize("name", ["image_only", "text_only", "no_harm"])
def test_the_inner_fusion_must_join_both(name):
    reads = "has_text" if name == "text_only" else "image_pooled"
    with pytest.raises(ValueError, match=rf"`fusion` must join image and text.*{reads}"):
        fusion.NoHarmFusion(name)


@pytest.mark.parametrize("value", [0, 1, -0.5, True, "0.1", float("nan")])
def test_corruption_must_be_a_share(value):
    message = rf"`corruption` must be .*Received: corruption={value!r}\."
    with pytest.raises(ValueError, match=message):
        fusion.NoHarmFusion(corruption=value)
    with pytest.raises(ValueError, match=message):
        fusion.NoHarmHead(2, 1, 1, 1, corruption=value)
    head = fusion.NoHarmHead(2, 1, 1, 1)
    with pytest.raises(ValueError, match=message):
        head.corruption = value


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"`fused` must have shape \(B, 14\).*\(2, 13\)"):
        _exact_head()(np.zeros((2, 13), "float32"))
    with pytest.raises(ValueError, match=r"`image_dim` must be .*image_dim=0\."):
        fusion.NoHarmHead(2, 1, 0, 1)
