"""What texts teach, against the formulas in float64, with rows that lack something."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.models import text_losses
from tatl_keras.models.labels import one_hot

ROWS, CLASSES, DIM = 7, 3, 5


def log_softmax(logits, axis=-1):
    return logits - np.logaddexp.reduce(logits, axis=axis, keepdims=True)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def weights():
    return np.array([1.0, 0.0, 2.0, 1.0, 0.0, 0.5, 1.0])


def test_distillation_follows_the_formula(rng, weights):
    student, teacher = rng.normal(size=(2, ROWS, CLASSES)) * 3
    wanted = 0.0
    for row in range(ROWS):
        q, p = np.exp(log_softmax(teacher[row] / 2.5)), np.exp(log_softmax(student[row] / 2.5))
        wanted += weights[row] * 2.5**2 * sum(q * np.log(q / p)) / ROWS
    found = text_losses.distillation_loss(student, teacher, weights.astype("float32"), 2.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_distillation_moves_the_student_alone(rng, weights):
    student, teacher = (tf.Variable(rng.normal(size=(ROWS, CLASSES))) for _ in range(2))
    with tf.GradientTape() as tape:
        loss = text_losses.distillation_loss(student, teacher, weights.astype("float32"), 2.0)
    gradients = tape.gradient(loss, [student, teacher])
    assert gradients[1] is None
    moved = np.abs(gradients[0]).sum(axis=1) > 0
    np.testing.assert_array_equal(moved, weights > 0)


def test_contrast_is_among_the_pairs_that_are_there(rng, weights):
    images, texts = rng.normal(size=(2, ROWS, DIM))
    cosines = unit(images) @ unit(texts).T / 0.07
    there = np.flatnonzero(weights)
    wanted = 0.0
    for i in there:
        to_text = log_softmax(cosines[i, there])[list(there).index(i)]
        to_image = log_softmax(cosines[there, i])[list(there).index(i)]
        wanted -= weights[i] * (to_text + to_image) / 2 / ROWS
    found = text_losses.contrastive_loss(images, texts, weights.astype("float32"))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    images[weights == 0], texts[weights == 0] = 1e3, rng.normal(size=(2, DIM))
    again = text_losses.contrastive_loss(images, texts, weights.astype("float32"))
    assert float(again) == float(found)


def test_a_pair_alone_has_nothing_to_tell_apart(rng):
    images, texts = rng.normal(size=(2, ROWS, DIM))
    alone = np.eye(ROWS, dtype="float32")[2]
    assert float(text_losses.contrastive_loss(images, texts, alone)) == 0.0
    with tf.GradientTape() as tape:
        zeros = tf.Variable(np.zeros((ROWS, DIM)))
        loss = text_losses.contrastive_loss(zeros, texts, np.ones(ROWS, "float32"))
    assert np.isfinite(tape.gradient(loss, zeros)).all()


def test_class_targets_follow_the_formula(rng, weights):
    logits, classes = rng.normal(size=(ROWS, CLASSES)), rng.normal(size=(CLASSES, DIM))
    labels = rng.integers(CLASSES, size=ROWS)
    wanted = 0.0
    for row, label in enumerate(labels):
        q = np.exp(log_softmax(10 * unit(classes) @ unit(classes)[label]))
        wanted -= weights[row] * q @ log_softmax(logits[row]) / ROWS
    found = text_losses.class_similarity_loss(
        logits, np.eye(CLASSES)[labels].astype("float32"), classes, weights.astype("float32")
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_labels_come_in_every_form(shape):
    labels = np.array([2, 0, 1, 2])
    given = np.eye(3)[labels] if shape == (4, 3) else labels.reshape(shape)
    np.testing.assert_array_equal(one_hot(given, 3), np.eye(3)[labels])
