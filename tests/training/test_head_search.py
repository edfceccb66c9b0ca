"""Which head is chosen: against the same choice made by brute force, and where it is plain."""

import numpy as np
import pytest

from tatl_keras.training import head_search
from tatl_keras.training.calibration import Held, fit_scales, log_losses
from tatl_keras.training.head_rows import HeadRows
from tatl_keras.training.head_search import PENALTIES, Choice, Search
from tests.training.test_ridge import fit

IMAGE, TEXT, CLASSES = 7, 5, 3


def make_rows(rng, count=30, image=1.0, text=1.0, names=0.0, labels=None):
    """Rows whose image and text tell the class as loudly as asked; `names` that of class texts."""
    labels = np.arange(count) % CLASSES if labels is None else np.asarray(labels)
    centres = rng.normal(size=(CLASSES, IMAGE + TEXT)) * np.repeat([image, text], [IMAGE, TEXT])
    x = rng.normal(size=(len(labels), IMAGE + TEXT)) + centres[labels]
    class_x, class_labels = np.zeros((0, IMAGE + TEXT)), np.zeros(0, int)
    if names:
        class_labels = np.array([0, 1, 1, 2])
        class_x = np.repeat([[0.0, names]], [IMAGE, TEXT], 1) * centres[class_labels]
    weights = rng.uniform(0.5, 2.0, len(labels))
    class_weights = np.array([1, 0.5, 0.5, 1])[: len(class_labels)]
    counts = np.bincount(labels, minlength=CLASSES)
    return HeadRows(
        x, labels, weights, class_x, class_labels, class_weights, IMAGE, CLASSES, None,
        len(labels), counts,
    )  # fmt: skip


def by_hand(rows, share, weight, relative, folds=None):
    """Held-out scores by refits, and the head; scaling, class texts and unit of the penalty too."""
    s = np.repeat([np.sqrt(2 - 2 * share), np.sqrt(2 * share)], [IMAGE, TEXT])
    x = np.concatenate([rows.x, rows.class_x]) * s
    y = np.eye(CLASSES)[np.append(rows.labels, rows.class_labels)]
    w = np.append(rows.weights, weight * rows.class_weights)
    seen = w > 0
    x, y, w = x[seen], y[seen], w[seen]
    centred = x - np.average(x, axis=0, weights=w)
    penalty = relative * np.average((centred**2).sum(axis=1), weights=w)
    scores = np.empty((len(rows.x), CLASSES))
    for fold in np.arange(len(rows.x)) if folds is None else np.unique(folds):
        out = np.flatnonzero((np.arange(len(rows.x)) if folds is None else folds) == fold)
        stay = np.setdiff1d(np.arange(len(x)), out)
        kernel, bias = fit(x[stay], y[stay], w[stay], penalty)
        scores[out] = x[out] @ kernel + bias
    kernel, bias = fit(x, y, w, penalty)
    return scores, kernel * s[:, None], bias


def loss_of(scores, rows):
    scales = fit_scales(scores[None], rows.labels, rows.weights)
    return np.average(log_losses(scales[0] * scores, rows.labels), weights=rows.weights)


@pytest.mark.parametrize("names", [0.0, 1.0])
def test_the_path_is_that_of_refits(rng, names):
    rows = make_rows(rng, 12, names=names)
    search = Search(rows)
    choice = search._path(0.7, 2.0)
    seen = [row for row in search.seen if row["text_share"] == 0.7]
    assert [row["regularization"] for row in seen] == pytest.approx(PENALTIES.tolist())
    losses = []
    for row in seen[::8]:
        scores, *_ = by_hand(rows, 0.7, 2.0, row["regularization"])
        losses.append(loss_of(scores, rows))
    assert [row["log_loss"] for row in seen[::8]] == pytest.approx(losses, abs=2e-5)
    share, weight, relative = choice.parts[0]
    assert relative == PENALTIES[int(np.argmin([row["log_loss"] for row in seen]))]
    scores, kernel, bias = by_hand(rows, share, weight, relative)
    np.testing.assert_allclose(choice.scores[0], scores, atol=1e-8)
    scale = fit_scales(scores[None], rows.labels, rows.weights)[0]
    found = choice.head()
    np.testing.assert_allclose(found[0], scale * kernel, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[1], scale * bias, rtol=1e-5, atol=1e-7)


def test_late_fusion_is_the_sum_of_two_heads(rng):
    rows = make_rows(rng, 15, names=1.0)
    choice = Search(rows).exact("late")
    assert choice.fusion == "late"
    parts = [by_hand(rows, *part) for part in choice.parts]
    assert [part[0] for part in choice.parts] == [0.0, 1.0]
    assert choice.parts[0][1] == 0.0  # class texts do not reach the head on pictures
    scores = np.stack([part[0] for part in parts])
    scales = fit_scales(scores, rows.labels, rows.weights)
    np.testing.assert_allclose(choice.scores, scores, atol=1e-8)
    kernel, bias = choice.head()
    expected = sum(scale * part[1] for scale, part in zip(scales, parts, strict=True))
    np.testing.assert_allclose(kernel, expected, rtol=1e-4, atol=1e-7)
    expected = sum(scale * part[2] for scale, part in zip(scales, parts, strict=True))
    np.testing.assert_allclose(bias, expected, rtol=1e-4, atol=1e-7)
    assert not expected.any() or (kernel[:IMAGE] != 0).any()


@pytest.mark.parametrize("fusion", ["concat", "late"])
def test_folds_are_those_of_refits(rng, fusion):
    rows = make_rows(rng, 14, names=1.0)
    search = Search(rows)
    choice = search.exact(fusion)
    folds = search.folds()
    scores = np.stack([by_hand(rows, *part, folds=folds)[0] for part in choice.parts])
    found = search.on_folds(choice)
    scales = fit_scales(scores, rows.labels, rows.weights)
    np.testing.assert_allclose(found.scales, scales, rtol=1e-5)
    losses = log_losses(np.tensordot(scales, scores, 1), rows.labels)
    np.testing.assert_allclose(found.losses, losses, atol=1e-6)


def test_folds_hold_each_class_evenly(rng):
    labels = np.repeat([0, 1, 2], [9, 6, 1])
    search = Search(make_rows(rng, labels=labels))
    folds = search.folds()
    assert folds[-1] == -1  # the one example of its class always stays
    assert set(folds[:-1]) == set(range(7))  # 15 rows of two classes
    for label in (0, 1):
        counts = np.bincount(folds[labels == label], minlength=7)
        assert counts.max() - counts.min() <= 1


def test_the_surest_gain_replaces_the_default_if_it_is_sure(rng):
    search = Search(make_rows(rng, 40))
    search.weights = np.ones(40)
    noise = np.where(np.arange(40) % 2, 1.0, -1.0)

    def choice(gain, spread):  # better by `gain`, `gain` √40 / `spread` standard errors
        return Choice("exact", "", (), (), None, Held(np.ones(1), 3.0 - gain + spread * noise))

    default, likely, sure, large = (
        choice(*pair) for pair in ((0, 0), (0.4, 1), (0.4, 0.5), (1, 2))
    )
    assert search._leave(default, [likely]) is default  # 2.5 standard errors
    assert search._leave(default, [likely, large, sure]) is sure  # 5.1 against 3.2
    assert search._leave(default, []) is default


@pytest.mark.parametrize(("image", "text"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_modality_that_tells_nothing_has_no_say(rng, image, text):
    rows = make_rows(rng, 900, image, text)
    rows.x[:, :IMAGE] *= 1 if image else 10
    rows.x[:, IMAGE:] *= 1 if text else 10
    choice = Search(rows).exact("auto")
    kernel, _ = choice.head()
    says = [np.std(rows.x[:, part] @ kernel[part]) for part in (slice(IMAGE), slice(IMAGE, None))]
    assert min(says) < 0.2 * max(says) and (says[0] > says[1]) == bool(image)


def test_two_equal_modalities_keep_equal_shares(rng):
    choice = Search(make_rows(rng, 60, names=1.0)).exact("auto")
    assert (choice.fusion, choice.parts[0][0]) == ("concat", 0.5)


def test_class_texts_that_mislead_are_dropped(rng):
    rows = make_rows(rng, 60, names=-8.0)
    assert Search(rows).exact("concat").parts[0][1] == 0.0
    rows = make_rows(rng, 9, image=0.5, text=0.5, names=3.0)
    assert Search(rows).exact("concat").parts[0][1] > 0.0


def test_the_logistic_path_is_that_of_refits(rng):
    rows = make_rows(rng, 12, names=1.0)
    search = Search(rows)
    exact = search.exact("concat")
    choice = search.logistic(exact)
    share, weight, relative = choice.parts[0]
    seen = [row for row in search.seen if row["solver"] == "logistic"]
    assert (share, weight) == exact.parts[0][:2]
    assert relative == min(seen, key=lambda row: row["log_loss"])["regularization"]
    peer = pytest.importorskip("sklearn.linear_model").LogisticRegression
    s = rows.scales(share)
    x = np.concatenate([rows.x, rows.class_x]) * s
    labels = np.append(rows.labels, rows.class_labels)
    w = np.append(rows.weights, weight * rows.class_weights)
    centred = x - np.average(x, axis=0, weights=w)
    penalty = relative * np.average((centred**2).sum(axis=1), weights=w)
    folds, scores = search.folds(), np.empty((12, CLASSES))
    for fold in range(folds.max() + 1):
        stay = np.append(np.flatnonzero(folds != fold), np.arange(12, len(x)))
        fitted = peer(C=1 / penalty, tol=1e-8, max_iter=5000).fit(x[stay], labels[stay], w[stay])
        scores[folds == fold] = fitted.decision_function(x[:12][folds == fold])
    np.testing.assert_allclose(
        choice.scores[0] - choice.scores[0].mean(1, keepdims=True), scores, atol=0.02
    )
    assert choice.held.log_loss == pytest.approx(loss_of(scores, rows), abs=2e-3)
    fitted = peer(C=1 / penalty, tol=1e-10, max_iter=5000).fit(x, labels, w)
    kernel, _ = choice.head()
    kernel = kernel - kernel.mean(axis=1, keepdims=True)
    expected = choice.held.scales[0] * fitted.coef_.T * s[:, None]
    np.testing.assert_allclose(kernel, expected, atol=2e-4)


def test_one_example_a_class_gives_a_head_without_choices(rng):
    rows = make_rows(rng, 3)
    search = Search(rows)
    choice = search.exact("auto")
    assert (choice.fusion, choice.parts[0][0], search.seen) == ("concat", 0.5, [])
    kernel, bias = choice.head()
    assert ((rows.x @ kernel + bias).argmax(1) == rows.labels).all()
    kernel, bias = search.logistic(choice).head()
    assert ((rows.x @ kernel + bias).argmax(1) == rows.labels).all()


def test_what_is_chosen_does_not_depend_on_the_order(rng, monkeypatch):
    monkeypatch.setattr(head_search, "PENALTIES", PENALTIES[::4])
    rows = make_rows(rng, 21, names=1.0)
    order = rng.permutation(21)
    shuffled = HeadRows(
        **(vars(rows) | {k: vars(rows)[k][order] for k in ("x", "labels", "weights")})
    )
    found, expected = Search(shuffled).exact("auto"), Search(rows).exact("auto")
    assert found.parts == expected.parts
    for part, like in zip(found.head(), expected.head(), strict=True):
        np.testing.assert_allclose(part, like, rtol=1e-6, atol=1e-9)
