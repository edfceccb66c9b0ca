"""Few-shot classifiers: held-out predictions against refits, and blends against their parts."""

import numpy as np
import pytest

from tatl_keras import training
from tatl_keras.training import few_shot
from tatl_keras.training.calibration import fit_scales, log_losses
from tests.training.test_ridge import fit

CLASSES, DIM = 5, 16


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def world(seed, shots, text, spread=1.5, tests=400):
    """Pictures round class centres; texts that point to them as well as `text` says, and a gap."""
    rng = np.random.default_rng(seed)
    centres, noise = rng.normal(size=(2, CLASSES, DIM))
    base, gap = rng.normal(size=(2, DIM))
    texts = text * centres + np.sqrt(1 - text**2) * noise + base + gap

    def draw(labels):
        return centres[labels] + base + spread * rng.normal(size=(len(labels), DIM))

    labels, test_labels = np.repeat(np.arange(CLASSES), shots), np.arange(tests) % CLASSES
    return draw(labels), labels, texts, draw(test_labels), test_labels


def accuracy(solution, x, labels):
    return 100 * np.mean(solution.logits(x).argmax(axis=1) == labels)


def refits(x, labels, texts, folds, weight, relative):
    """Ridge scores of each row from a fit without its fold, by least squares."""
    rows = np.concatenate([unit(x), unit(texts)])
    targets = np.eye(CLASSES)[np.append(labels, np.arange(CLASSES))]
    weights = np.append(np.ones(len(x)), np.full(CLASSES, weight))
    rows, targets, weights = (part[weights > 0] for part in (rows, targets, weights))
    centred = rows - np.average(rows, axis=0, weights=weights)
    penalty = relative * np.average((centred**2).sum(axis=1), weights=weights)
    found = np.empty((len(x), CLASSES))
    for fold in np.unique(folds):
        stay = np.append(folds != fold, np.ones(len(rows) - len(x), bool))
        kernel, bias = fit(rows[stay], targets[stay], weights[stay], penalty)
        found[folds == fold] = rows[: len(x)][folds == fold] @ kernel + bias
    return found, fit(rows, targets, weights, penalty)


@pytest.mark.parametrize("shots", [3, 11])
def test_the_linear_part_is_chosen_as_refits_choose(monkeypatch, shots):
    monkeypatch.setattr(few_shot, "_PENALTIES", np.array([0.01, 1.0, 30.0]))
    x, labels, texts, test_x, _ = world(0, shots, 0.8)
    solution = training.solve_few_shot(x, labels, texts, method="linear")
    search = few_shot._Search(unit(x), labels, unit(texts))
    folds = np.arange(len(x)) if shots > 10 else search.folds
    if shots < 10:  # each fold holds one picture of each class
        pairs = {(fold, label) for fold, label in zip(folds, labels, strict=True)}
        assert len(pairs) == len(x) and set(folds) == set(range(shots))
    best = (np.inf,)
    for weight in (8.0, 4.0, 2.0, 1.0, 0.0):
        for relative in (0.01, 1.0, 30.0):
            scores, head = refits(x, labels, texts, folds, weight, relative)
            scale = fit_scales(scores[None], labels, np.ones(len(x)))[0]
            loss = np.mean(log_losses(scale * scores, labels))
            best = min(best, (loss, weight, scale, head), key=lambda found: found[0])
    loss, weight, scale, (kernel, bias) = best
    assert solution.log_loss == pytest.approx(loss, abs=1e-5)
    assert solution.class_text_weight == weight
    expected = scale * (unit(test_x) @ kernel + bias)
    np.testing.assert_allclose(solution.logits(test_x), expected, rtol=1e-2, atol=1e-2)


def test_the_cache_is_blended_as_leaving_out_says():
    x, labels, texts, test_x, _ = world(1, 12, 0.8)
    solution = training.solve_few_shot(x, labels, texts, method="zero_shot+cache")
    zero, others = unit(x) @ unit(texts).T, np.arange(len(x))
    losses = {}
    for sharpness in few_shot.SHARPNESSES:
        votes = np.array(
            [
                np.exp(-sharpness * (1 - unit(x)[others != i] @ unit(x)[i]))
                @ np.eye(CLASSES)[labels[others != i]]
                for i in others
            ]
        )
        scales = fit_scales(np.stack([zero, votes]), labels, np.ones(len(x)))
        logits = scales[0] * zero + scales[1] * votes
        losses[sharpness] = np.mean(log_losses(logits, labels)), scales
    best = min(losses, key=lambda one: losses[one][0])
    assert solution.sharpness == best
    assert solution.log_loss == pytest.approx(losses[best][0], abs=1e-8)
    a, b = losses[best][1]
    votes = np.exp(-best * (1 - unit(test_x) @ unit(x).T)) @ np.eye(CLASSES)[labels]
    expected = a * unit(test_x) @ unit(texts).T + b * votes
    np.testing.assert_allclose(solution.logits(test_x), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("shots", "text"), [(2, 0.0), (2, 0.6), (3, 0.0), (3, 0.95), (6, 0.6), (6, 0.95)]
)
def test_never_below_the_better_of_zero_shot_and_linear(shots, text):
    found = {"auto": [], "zero_shot": [], "linear": []}
    for seed in range(8):
        x, labels, texts, test_x, test_labels = world(seed, shots, text)
        for method, accuracies in found.items():
            solution = training.solve_few_shot(x, labels, texts, method=method)
            accuracies.append(accuracy(solution, test_x, test_labels))
    mean = {method: np.mean(accuracies) for method, accuracies in found.items()}
    assert mean["auto"] > max(mean["zero_shot"], mean["linear"]) - 1.0  # points; 8 seeds give ± 1


def test_texts_that_tell_all_win_alone_or_blended_and_noise_gets_no_say():
    x, labels, texts, test_x, test_labels = world(3, 4, 0.99, spread=4.0)
    good = training.solve_few_shot(x, labels, texts)
    linear = training.solve_few_shot(x, labels, np.roll(texts, 1, axis=0), method="linear")
    wrong = training.solve_few_shot(x, labels, np.roll(texts, 1, axis=0))
    assert accuracy(good, test_x, test_labels) > accuracy(linear, test_x, test_labels) + 5
    assert wrong.zero_shot_scale < 0.1 * good.zero_shot_scale


def test_from_zero_pictures_to_one():
    x, labels, texts, test_x, _ = world(2, 1, 0.9)
    none = training.solve_few_shot(np.zeros((0, DIM)), [], texts, temperature=0.05)
    assert none.method == "zero_shot" and np.isnan(none.log_loss)
    expected = unit(test_x) @ unit(texts).T / 0.05
    np.testing.assert_allclose(none.logits(test_x), expected, atol=1e-9)
    one = training.solve_few_shot(x, labels, texts)
    assert (one.method, one.choices) == ("zero_shot+linear", [])
    zero = unit(x) @ unit(texts).T  # says itself how sure it is: it has seen no picture
    scale = fit_scales(zero[None], labels, np.ones(len(x)))[0]
    kernel, bias = refits(x, labels, texts, labels, 0.0, 1.0)[1]
    expected = scale * unit(test_x) @ unit(texts).T + 12 * (unit(test_x) @ kernel + bias)
    np.testing.assert_allclose(one.logits(test_x), expected, atol=1e-8)


def test_a_class_of_texts_alone_is_found():
    x, labels, texts, test_x, test_labels = world(4, 6, 0.95, spread=0.7)
    seen = labels != 2
    solution = training.solve_few_shot(x[seen], labels[seen], texts)
    assert solution.method == "zero_shot"
    assert training.solve_few_shot(x[:3], [0, 1, 3], texts).method == "zero_shot"
    right = solution.logits(test_x).argmax(axis=1) == test_labels
    assert right[test_labels == 2].mean() > 0.5 and right.mean() > 0.8


def test_lengths_do_not_matter():
    x, labels, texts, test_x, _ = world(5, 3, 0.8)
    first = training.solve_few_shot(x, labels, texts)
    second = training.solve_few_shot(3 * x, labels, 0.2 * texts)
    np.testing.assert_allclose(second.logits(7 * test_x), first.logits(test_x), rtol=1e-6)


def test_bad_arguments_are_refused():
    x, labels, texts, *_ = world(0, 2, 0.5)
    with pytest.raises(ValueError, match="`method`.*method='knn'"):
        training.solve_few_shot(x, labels, texts, method="knn")
    with pytest.raises(ValueError, match=r"method='linear' and image_features.shape=\(0, 16\)"):
        training.solve_few_shot(x[:0], labels[:0], texts, method="linear")
    with pytest.raises(ValueError, match="from 0 to 4. Received: labels from 0 to 5"):
        training.solve_few_shot(x[:6], np.arange(6), texts)
    with pytest.raises(ValueError, match=r"class_embeddings.shape=\(5, 15\)"):
        training.solve_few_shot(x, labels, texts[:, 1:])
    with pytest.raises(ValueError, match="temperature=nan"):
        training.solve_few_shot(x, labels, texts, temperature=float("nan"))
