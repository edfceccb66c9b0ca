"""Solved heads of class texts against refits in NumPy, row by row and class by class."""

import numpy as np
import pytest

from tatl_keras import data, training, zoo
from tatl_keras._probabilities import log_softmax
from tatl_keras.training import head_rows
from tatl_keras.training.class_text_solver import ClassTextSearch
from tatl_keras.training.folds import balanced_folds
from tatl_keras.training.head_rows import HeadRows
from tatl_keras.training.ridge import Ridge

DIM, TEXT, CLASSES, ROWS = 7, 5, 4, 23


def ridge(x, targets, weights, penalty):
    """Kernel and intercept from the normal equations."""
    mean = weights @ x / weights.sum()
    centred = (x - mean) * weights[:, None]
    kernel = np.linalg.solve(
        centred.T @ (x - mean) + penalty * np.eye(x.shape[1]), centred.T @ targets
    )
    return kernel, weights @ targets / weights.sum() - mean @ kernel


def test_a_group_and_each_other_row_left_out_is_a_refit(rng):
    x, targets = rng.normal(size=(ROWS, DIM)), rng.normal(size=(ROWS, 3))
    weights, group = rng.uniform(0.5, 2.0, ROWS), rng.random(ROWS) < 0.3
    for some in (x, x[:, :, None].repeat(5, axis=2).reshape(ROWS, -1)):  # primal and dual
        found = Ridge(some, targets, weights).leave_group_out(0.7, group)
        for row in range(ROWS):
            kept = ~group & (np.arange(ROWS) != row)
            kernel, bias = ridge(some[kept], targets[kept], weights[kept], 0.7)
            np.testing.assert_allclose(found[row], some[row] @ kernel + bias, atol=1e-10)


@pytest.fixture
def task(rng):
    embeddings = rng.normal(size=(CLASSES, TEXT)) + 0.5
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = rng.permutation(np.arange(ROWS) % (CLASSES - 1))  # the last class has no example
    x = rng.normal(size=(ROWS, DIM + TEXT)) * 3
    x[:, DIM:] += 9 * embeddings[labels]
    weights = rng.uniform(0.5, 2.0, ROWS)
    counts = np.bincount(labels, minlength=CLASSES)
    none = np.zeros((0, DIM + TEXT)), np.zeros(0, int), np.zeros(0)
    rows = HeadRows(x, labels, weights, *none, DIM, CLASSES, None, ROWS, counts)
    return rows, embeddings


def logits_of(rows, embeddings, known, train, test, relative, class_penalty, size):
    """Unscaled logits of rows `test` for all classes, learned from `train` and classes `known`."""
    e = embeddings[known]
    nearest = rows.x[:, -TEXT:] @ embeddings.T / 16
    targets = (rows.labels[:, None] == known) - nearest[:, known]
    kernel, bias = ridge(rows.x[train], targets[train], rows.weights[train], relative * size)
    gram = e @ e.T + class_penalty * np.eye(len(known))
    return nearest[test] + (rows.x[test] @ kernel + bias) @ np.linalg.inv(gram) @ e @ embeddings.T


def test_the_head_is_ridge_regression_on_both_sides(task):
    rows, embeddings = task
    search = ClassTextSearch(rows, embeddings, reads_text=True)
    found = search.solve()
    z = rows.x @ found.kernel + found.projection_bias
    every = np.arange(ROWS)
    settings = (found.penalty, found.class_penalty, search.ridge.size)
    expected = logits_of(rows, embeddings, np.arange(3), every, every, *settings)
    np.testing.assert_allclose(
        found.scale / 16 * z @ embeddings.T, found.scale * expected, atol=1e-9
    )
    folds = balanced_folds(rows.labels, np.ones(ROWS, bool), 10)  # fewer than 10 rows a class
    left_out = np.concatenate(
        [
            logits_of(rows, embeddings, np.arange(3), folds != folds[row], [row], *settings)[:, :3]
            for row in every
        ]
    )
    losses = -log_softmax(found.scale * left_out)[every, rows.labels]
    assert found.held.log_loss == pytest.approx(np.average(losses, weights=rows.weights), abs=1e-8)
    assert found.held.log_loss == min(row["log_loss"] for row in search.seen)


def test_new_classes_are_as_probable_as_they_are_frequent(task):
    rows, embeddings = task
    search = ClassTextSearch(rows, embeddings, reads_text=True)
    found = search.solve()
    assert abs(found.new_class_bias) < 20
    expected = frequent = 0.0
    for label in range(3):
        known = np.setdiff1d(np.arange(3), label)
        order = [*known, label]
        for row in range(ROWS):
            train = np.flatnonzero((rows.labels != label) & (np.arange(ROWS) != row))
            settings = (found.penalty, found.class_penalty, search.ridge.size)
            logits = found.scale * logits_of(rows, embeddings, known, train, [row], *settings)[0]
            logits[label] += found.new_class_bias
            expected += rows.weights[row] * np.exp(log_softmax(logits[order]))[-1]
            frequent += rows.weights[row] * (rows.labels[row] == label)
    assert expected == pytest.approx(frequent, rel=1e-9)


def test_pictures_alone_are_regressed_into_the_space_of_texts(task):
    rows, embeddings = task
    found = ClassTextSearch(rows, embeddings, reads_text=False).solve()
    targets = np.eye(CLASSES)[rows.labels][:, :3]
    penalty = found.penalty * ClassTextSearch(rows, embeddings, reads_text=False).ridge.size
    kernel, bias = ridge(rows.x, targets, rows.weights, penalty)
    e = embeddings[:3]
    shared = np.linalg.inv(e @ e.T + found.class_penalty * np.eye(3)) @ e
    np.testing.assert_allclose(found.kernel, 16 * kernel @ shared, atol=1e-9)
    np.testing.assert_allclose(found.projection_bias, 16 * bias @ shared, atol=1e-9)


def test_solve_head_loads_what_was_found(rng):
    names = ["a", "b", "c", "d"]
    model = zoo.build("test_efficientnet_bert_concat", 4, head="class_texts", class_names=names)
    embeddings = rng.normal(size=(4, 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    model.head.embed(embeddings)
    labels = np.arange(ROWS) % 3
    x = {"image_pooled": rng.normal(size=(ROWS, 24)), "has_image": np.ones(ROWS, int)}
    x |= {"text_pooled": rng.normal(size=(ROWS, 16)), "has_text": rng.integers(0, 2, ROWS)}
    x["text_pooled"] += embeddings[labels]
    solution = training.solve_head(model, x, labels, verbose=0)
    text = 16 * x["text_pooled"] / np.linalg.norm(x["text_pooled"], axis=1, keepdims=True)
    image = 16 * x["image_pooled"] / np.linalg.norm(x["image_pooled"], axis=1, keepdims=True)
    fused = np.concatenate([image, text * x["has_text"][:, None]], axis=1)
    counts, none = (
        np.bincount(labels, minlength=4),
        (np.zeros((0, 40)), np.zeros(0, int), np.zeros(0)),
    )
    rows = HeadRows(fused, labels, np.ones(ROWS), *none, 24, 4, None, ROWS, counts)
    found = ClassTextSearch(rows, embeddings, reads_text=True).solve()
    logits = found.scale / 16 * (fused @ found.kernel + found.projection_bias) @ embeddings.T
    logits[:, 3] += found.new_class_bias  # it has no example
    np.testing.assert_allclose(model(x), logits, atol=1e-3)
    assert float(model.head.new_class_bias) == pytest.approx(found.new_class_bias, abs=1e-4)
    assert solution.num_examples == ROWS and solution.fusion == "concat"
    assert solution.log_loss == pytest.approx(found.held.log_loss, rel=1e-3)
    np.testing.assert_array_equal(model.prior.counts, counts)
    assert f"raised by {found.new_class_bias:.2f}" in solution.report()
    with pytest.raises(ValueError, match="Received: solver='logistic'"):
        training.solve_head(model, x, labels, solver="logistic")


def test_from_ten_rows_a_class_on_one_is_left_out_alone(rng):
    labels, x = np.repeat([0, 1], 10), rng.normal(size=(20, TEXT))
    none = np.zeros((0, TEXT)), np.zeros(0, int), np.zeros(0)
    rows = HeadRows(x, labels, np.ones(20), *none, 0, 2, None, 20, np.bincount(labels))
    search = ClassTextSearch(rows, np.eye(TEXT)[:2], reads_text=True)
    found = search.solve()
    settings = (found.penalty, found.class_penalty, search.ridge.size)
    every, known = np.arange(20), np.arange(2)
    left_out = [logits_of(rows, np.eye(TEXT)[:2], known, every != i, [i], *settings) for i in every]
    losses = -log_softmax(found.scale * np.concatenate(left_out))[every, labels]
    assert found.held.log_loss == pytest.approx(losses.mean(), abs=1e-8)


@pytest.mark.parametrize("name", ["test_bert_text_only", "test_clip_class_texts"])
def test_more_examples_than_are_kept_are_refused(name, monkeypatch):
    monkeypatch.setattr(head_rows, "MOST_ROWS", 5)
    names = data.synthetic.class_names(2)
    model = zoo.build(name, 2, head="class_texts", class_names=names, seed=0)
    examples = data.synthetic.examples(2, 6, seed=0)
    with pytest.raises(ValueError, match="must hold at most 5 examples .* Received: 6 examples"):
        training.solve_head(model, examples, verbose=0)
