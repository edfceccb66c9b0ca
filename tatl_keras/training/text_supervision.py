"""A head on pictures that texts have taught: closed form, kept where what is held out allows it."""

import dataclasses

import numpy as np
import tensorflow as tf

from tatl_keras.features import encode_dataset
from tatl_keras.models.class_texts import weights_of
from tatl_keras.models.features import TEXT
from tatl_keras.training.calibration import judge
from tatl_keras.training.head_search import Choice
from tatl_keras.training.logistic import fit_logistic
from tatl_keras.training.ridge import Ridge

SHARE = 0.3  # of the student, beside the head learned from labels
DROPPED_AT = -1.0  # standard errors by which the texts may seem to hurt
STUDENT_PENALTIES = np.logspace(-2, 1.5, 8)  # in units of `Ridge.size`
_TEACHER_PENALTY, _CLASS_TEXT_WEIGHT = 0.1, 4.0


@dataclasses.dataclass(frozen=True)
class TextRows:
    """Texts of the rows of `HeadRows`, and of classes.

    Args:
        x: floats (N, D), normalised; zeros where a row has no text.
        class_x: floats (M, D), of class texts, M = 0 for none.
        class_labels: ints (M,).
        class_weights: floats (M,), 1 a class in all.
    """

    x: np.ndarray
    class_x: np.ndarray
    class_labels: np.ndarray
    class_weights: np.ndarray

    @property
    def written(self):
        """Bools (N,): rows that have a text."""
        return self.x.any(axis=1)


@dataclasses.dataclass(frozen=True)
class Taught:
    """What became of a head.

    Args:
        choice: `Choice`, with two heads where the texts are kept.
        share: float, of the student, 0.3 or 0.
        why: str, a sentence.
        teacher: kernel (D, C) and bias (C,) for normalised texts; `None` where there is none.
    """

    choice: Choice
    share: float
    why: str
    teacher: tuple | None = None


def text_rows(model, batches, class_texts, class_weight, feature_cache):
    """Gathers `TextRows`.

    Args:
        model: a `TextSupervisedClassifier` with a frozen text encoder.
        batches: as `gather_rows` took them; rows of weight 0 are left out.
        class_texts: list of (label, text).
        class_weight: dict from label to weight.
        feature_cache: a `FeatureCache`, for the class texts.
    """
    found, dim = [], model.text_encoder.output_dim
    for batch in batches:
        x, labels = batch[0], np.asarray(batch[1]).reshape(-1)
        seen = np.array([class_weight.get(int(label), 1.0) > 0 for label in labels], bool)
        if len(batch) > 2:
            seen &= np.asarray(batch[2]) > 0
        texts = np.zeros((len(labels), dim))
        if set(TEXT) <= set(x):
            texts = np.asarray(model.fusion.pooled(x, "text"))
        found.append(texts[seen])
    class_x, labels, weights = np.zeros((0, dim)), np.zeros(0, int), np.zeros(0)
    if class_texts:
        labels = np.array([label for label, _ in class_texts])
        weights = weights_of(labels, class_weight)
        raw = tf.data.Dataset.from_tensor_slices({"text": [text for _, text in class_texts]})
        encoders = {"text": model.text_encoder}
        options = {"preprocessor": model.preprocessor, "uses": TEXT, "verbose": 0}
        encoded, _, _ = encode_dataset(raw, encoders, feature_cache, **options).arrays()
        class_x = np.asarray(model.fusion.pooled(encoded, "text"))
    return TextRows(np.concatenate(found), class_x, labels, weights)


def teach(search, choice, texts):
    """Adds to a head on pictures what a head on their texts taught.

        teacher_i = text_i U + c                  logistic regression on the texts and class texts
        student   minimal: sum_i w_i |teacher_i - image_i S - s|² + penalty |S|²
        logits    = scale (0.7 head + 0.3 a student)

    The student is a ridge regression onto the teacher's logits: the one on the text embeddings,
    followed by the teacher. It sees which pictures are like another class in their texts, which
    labels do not say. a calibrates it alone; penalty, a and scale are chosen by the log-loss on
    the folds of `search`, each with a teacher and a student that know nothing of it. The share
    of 0.3 is fixed: examples are too few to choose it. The student is dropped where the held-out
    log-loss is higher with it by a standard error of the paired differences.

    Args:
        search: a `Search` on pictures alone.
        choice: its `Choice`.
        texts: `TextRows`.

    Returns:
        `Taught`.
    """
    why = _why_not(search, texts)
    if why:
        return Taught(choice, 0.0, f" The texts are not learned from: {why}.")
    logits, teacher = _teach_teachers(search.rows, texts, search.folds())
    student = _student(search, texts, logits)
    base = search.fold_scores(choice) * choice.held.scales[:, None, None]
    alone = judge(base, search.labels, search.weights)
    scales = np.array([1 - SHARE, SHARE * student.held.scales[0]])
    both = (1 - SHARE) * base[0] + scales[1] * student.scores[0]
    held = judge(both[None], search.labels, search.weights)
    gain = held.gain(alone, search.weights)
    less = alone.log_loss - held.log_loss
    outcome = (
        f"their held-out log-loss is {held.log_loss:.4f} with and {alone.log_loss:.4f} without, "
        f"{'lower' if less > 0 else 'higher'} by {abs(gain):.1f} standard errors"
    )
    search.record("ridge", "taught by text", student.parts[0], held)
    if gain < DROPPED_AT:
        return Taught(choice, 0.0, f" What the texts taught is left out: {outcome}.", teacher)
    held = dataclasses.replace(held, scales=held.scales[0] * scales)
    heads = (choice.head(), student.heads[0])
    both = Choice(choice.solver, choice.fusion, choice.parts, heads, both[None], held)
    why = f" What the texts taught has a share of {SHARE:g}: {outcome}."
    return Taught(both, SHARE, why, teacher)


def _why_not(search, texts):
    """Why the texts cannot teach; empty where they can."""
    if search.rows.moments is not None:
        return f"only sums of the {search.rows.total} examples are kept"
    if not search.scored.any():
        return "no class has a second example, so that it cannot be tested what they are worth"
    if not (texts.written & search.rows.x.any(axis=1)).any():
        return "no picture has one"
    return ""


def _student(search, texts, logits):
    """The `Choice` of the student whose penalty has the lowest held-out log-loss."""
    rows, folds = search.rows, search.folds()
    paired = texts.written & rows.x.any(axis=1)
    scores = np.zeros((len(STUDENT_PENALTIES), len(folds), rows.num_classes))
    for fold, wanted in enumerate(logits[:-1]):
        kept, out = paired & (folds != fold), folds == fold
        if kept.any():
            ridge = Ridge(rows.x[kept], wanted[kept], rows.weights[kept])
            for place, penalty in enumerate(STUDENT_PENALTIES):
                kernel, bias = ridge.head(penalty * ridge.size)
                scores[place, out] = rows.x[out] @ kernel + bias
    scores = scores[:, search.scored]
    helds = [judge(part[None], search.labels, search.weights) for part in scores]
    best = int(np.argmin([held.log_loss for held in helds]))
    ridge = Ridge(rows.x[paired], logits[-1][paired], rows.weights[paired])
    head = ridge.head(STUDENT_PENALTIES[best] * ridge.size)
    part = (0.0, _CLASS_TEXT_WEIGHT if len(texts.class_labels) else 0.0)
    parts = ((*part, float(STUDENT_PENALTIES[best])),)
    return Choice("ridge", "taught by text", parts, (head,), scores[best][None], helds[best])


def _teach_teachers(rows, texts, folds):
    """A head on texts that has not seen a fold, for each fold, and last one that has seen all.

    Returns their logits (folds + 1, N, C), zeros where a row has no text, and the last one itself.
    """
    written, count = texts.written, int(texts.written.sum())
    labels = np.append(rows.labels[written], texts.class_labels)
    weights = np.append(rows.weights[written], _CLASS_TEXT_WEIGHT * texts.class_weights)
    x = np.concatenate([texts.x[written], texts.class_x])
    ridge = Ridge(x, np.eye(rows.num_classes)[labels], weights)
    logits = np.zeros((folds.max() + 2, len(folds), rows.num_classes))
    start = None
    for fold in (-1, *range(folds.max() + 1)):  # the one of all rows first, to start from
        seen = weights.copy()
        seen[:count] *= folds[written] != fold if fold >= 0 else 1.0
        penalty = _TEACHER_PENALTY * ridge.size
        head = fit_logistic(ridge, seen[None], penalty, start)
        start = head if start is None else start
        logits[fold, written] = ridge.coordinates[:count] @ head[0, :-1] + head[0, -1]
    return logits, ridge.lift(start[0, :-1], start[0, -1])
