"""Heads that texts have taught: held-out numbers by brute force, and when texts are left out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from tatl_keras import training, zoo
from tatl_keras.training.calibration import judge
from tatl_keras.training.head_rows import HeadRows
from tatl_keras.training.head_search import Search
from tatl_keras.training.text_supervision import SHARE, STUDENT_PENALTIES, TextRows, teach

CLASSES, IMAGE, TEXT = 3, 13, 5
LABELS = np.arange(24) % CLASSES


def make_rows(x, labels=LABELS, weights=None):
    weights = np.ones(len(labels)) if weights is None else weights
    none = np.zeros((0, x.shape[1])), np.zeros(0, int), np.zeros(0)
    counts = np.bincount(labels, minlength=CLASSES)
    return HeadRows(x, labels, weights, *none, x.shape[1], CLASSES, None, len(labels), counts)


def make_texts(x, named=True):
    count = CLASSES if named else 0
    class_x = np.random.default_rng(5).normal(size=(CLASSES, x.shape[1]))[:count]
    return TextRows(x, class_x, np.arange(count), np.ones(count))


@pytest.fixture
def problem(rng):
    """Pictures that half tell the class, and texts that tell how; one of each is missing."""
    hidden = np.eye(CLASSES)[LABELS] * 2 + rng.normal(size=(24, CLASSES))
    x = hidden @ rng.normal(size=(CLASSES, IMAGE)) + rng.normal(size=(24, IMAGE))
    texts = hidden @ rng.normal(size=(CLASSES, TEXT)) + rng.normal(size=(24, TEXT)) / 4
    texts[::7], x[3] = 0, 0
    weights = rng.uniform(0.5, 2.0, size=24)
    return make_rows(x, weights=weights), make_texts(texts)


def brute_force(rows, texts, out):
    """Scores (penalties, N, C) of students that do not know the rows `out`, and their teacher."""
    written = texts.x.any(axis=1)
    x = np.concatenate([texts.x[written], texts.class_x])
    y = np.append(rows.labels[written], texts.class_labels)
    w = np.append(rows.weights[written], 4 * texts.class_weights)
    spread = x - np.average(x, axis=0, weights=w)
    size = np.average(np.square(spread).sum(axis=1), weights=w)
    seen = w * np.append(~out[written], np.ones(len(texts.class_x)))
    teacher = LogisticRegression(C=1 / (0.1 * size), max_iter=10**5, tol=1e-10)
    teacher.fit(x[seen > 0], y[seen > 0], seen[seen > 0])
    kept = written & ~out & rows.x.any(axis=1)
    logits = teacher.decision_function(texts.x[kept])
    weights = rows.weights[kept]
    spread = rows.x[kept] - np.average(rows.x[kept], axis=0, weights=weights)
    size = np.average(np.square(spread).sum(axis=1), weights=weights)
    fits = [Ridge(p * size).fit(rows.x[kept], logits, weights) for p in STUDENT_PENALTIES]
    return np.stack([fit.predict(rows.x) for fit in fits]), teacher


def test_what_is_held_out_knows_nothing_of_it(problem):
    rows, texts = problem
    search = Search(rows)
    choice = search.logistic(search.exact("auto"))
    taught = teach(search, choice, texts)
    both = taught.choice
    assert taught.share == SHARE and "has a share of 0.3" in taught.why
    folds = search.folds()
    scores = np.zeros((len(STUDENT_PENALTIES), 24, CLASSES))
    for fold in range(folds.max() + 1):
        scores[:, folds == fold] = brute_force(rows, texts, folds == fold)[0][:, folds == fold]
    helds = [judge(part[None], rows.labels, rows.weights) for part in scores]
    best = int(np.argmin([held.log_loss for held in helds]))
    row = search.seen[-1]
    assert row["regularization"] == STUDENT_PENALTIES[best] and row["fusion"] == "taught by text"
    wanted = 0.7 * choice.scores[0] * choice.held.scales + 0.3 * helds[best].scales * scores[best]
    np.testing.assert_allclose(both.scores[0], wanted, atol=2e-3)
    held = judge(wanted[None], rows.labels, rows.weights)
    assert abs(held.log_loss - row["log_loss"]) < 1e-3 and both.held.log_loss == row["log_loss"]
    students, teacher = brute_force(rows, texts, np.zeros(24, bool))
    whole = students[best]
    kernel, bias = taught.teacher
    np.testing.assert_allclose(
        texts.x @ kernel + bias, teacher.decision_function(texts.x), atol=1e-3
    )
    kernel, bias = choice.head()
    wanted = held.scales * (0.7 * (rows.x @ kernel + bias) + 0.3 * helds[best].scales * whole)
    kernel, bias = both.head()
    np.testing.assert_allclose(rows.x @ kernel + bias, wanted, atol=5e-3)


@pytest.mark.parametrize("solver", ["exact", "logistic"])
def test_the_gain_is_against_the_same_folds(problem, solver):
    rows, texts = problem
    search = Search(rows)
    choice = search.exact("auto")
    choice = search.logistic(choice) if solver == "logistic" else choice
    why = teach(search, choice, texts).why
    scores = search.fold_scores(choice)
    if solver == "exact":
        folds, (_, _, relative) = search.folds(), choice.parts[0]
        ridge = rows.ridge(0.0, 0.0)
        for fold in range(folds.max() + 1):
            out = folds == fold
            fit = Ridge(relative * ridge.size)
            fit.fit(rows.x[~out], np.eye(CLASSES)[LABELS[~out]], rows.weights[~out])
            np.testing.assert_allclose(scores[0, out], fit.predict(rows.x[out]), atol=1e-8)
    alone = judge(scores * choice.held.scales, rows.labels, rows.weights)
    assert f"and {alone.log_loss:.4f} without" in why


def test_texts_that_mislead_are_left_out(problem, rng):
    rows, _ = problem
    wrong = np.eye(CLASSES)[(LABELS + 1 + rng.integers(2, size=24)) % CLASSES]
    texts = make_texts(wrong @ rng.normal(size=(CLASSES, TEXT)), named=False)
    x = np.eye(CLASSES)[LABELS] @ rng.normal(size=(CLASSES, IMAGE))
    rows = make_rows(x + rng.normal(size=(24, IMAGE)))
    search = Search(rows)
    choice = search.exact("auto")
    found = teach(search, choice, texts)
    why = found.why
    assert found.share == 0.0 and found.choice is choice
    assert why.startswith(" What the texts taught is left out") and "higher by" in why


@pytest.mark.parametrize(
    ("labels", "texts", "why"),
    [
        (np.arange(3), np.ones((3, TEXT)), "no class has a second example"),
        (LABELS, np.zeros((24, TEXT)), "no picture has one"),
    ],
)
def test_where_nothing_can_be_learned_the_head_stays(rng, labels, texts, why):
    search = Search(make_rows(rng.normal(size=(len(labels), IMAGE)), labels))
    choice = search.exact("auto")
    found = teach(search, choice, make_texts(texts))
    assert found.choice is choice and found.share == 0.0 and why in found.why
    assert found.teacher is None


@pytest.fixture(scope="module")
def model():
    return zoo.build("test_efficientnet_bert_concat", CLASSES, text_at_inference=False, seed=0)


@pytest.fixture
def features(model, rng):
    centres = rng.normal(size=(CLASSES, model.image_encoder.output_dim))
    hints = rng.normal(size=(CLASSES, model.text_encoder.output_dim))
    return {
        "image_pooled": centres[LABELS] + 2 * rng.normal(size=(24, centres.shape[1])),
        "has_image": np.ones(24, int),
        "text_pooled": hints[LABELS] + rng.normal(size=(24, hints.shape[1])),
        "has_text": np.arange(24) % 5,
    }


def test_the_model_gets_the_head_and_says_so(model, features):
    weights = np.where(np.arange(24) % 6 == 0, 0.0, 1.0)
    solution = training.solve_head(model, features, LABELS, sample_weight=weights, verbose=0)
    assert solution.text_supervision == SHARE and len(solution.scales) == 2
    assert solution.num_examples == 20
    assert "ridge taught by text" in solution.report()
    kept = weights > 0
    image, text = (features[f"{name}_pooled"][kept] for name in ("image", "text"))
    x = 16 * image / np.linalg.norm(image, axis=1, keepdims=True)
    texts = 16 * text / np.linalg.norm(text, axis=1, keepdims=True)
    texts[features["has_text"][kept] == 0] = 0
    search = Search(make_rows(x, LABELS[kept]))
    choice = search.exact("auto")
    choice = search.logistic(choice) if solution.solver == "logistic" else choice
    taught = teach(search, choice, make_texts(texts, named=False))
    kernel, bias = taught.choice.head()
    np.testing.assert_allclose(model.head.kernel.numpy(), kernel, atol=2e-3 * np.abs(kernel).max())
    kernel, _ = taught.teacher
    np.testing.assert_allclose(model.text_head.kernel, kernel, atol=1e-3 * np.abs(kernel).max())
    pictures = {name: features[name] for name in ("image_pooled", "has_image")}
    wanted = model.predict(pictures, verbose=0)
    np.testing.assert_array_equal(model.predict(features, verbose=0), wanted)
    image = 16 * features["image_pooled"]
    image = image / np.linalg.norm(features["image_pooled"], axis=1, keepdims=True)
    np.testing.assert_allclose(
        wanted, image @ model.head.kernel.numpy() + model.head.bias, atol=1e-4
    )


def test_without_texts_it_is_the_head_of_pictures(model, features):
    pictures = {name: features[name] for name in ("image_pooled", "has_image")}
    solution = training.solve_head(model, pictures, LABELS, verbose=0)
    found = model.head.get_weights()
    control = zoo.build("test_efficientnet_image_only", CLASSES, seed=0)
    alone = training.solve_head(control, pictures, LABELS, verbose=0)
    assert solution.text_supervision == 0.0 and alone.text_supervision is None
    for mine, its in zip(found, control.head.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_class_without_a_picture_is_refused(model, features):
    with pytest.raises(ValueError, match="`y` must hold an example of every class"):
        training.solve_head(model, features, LABELS % 2, verbose=0)


def test_a_text_encoder_that_learns_is_refused():
    model = zoo.build("test_efficientnet_lstm_concat", 2, text_at_inference=False)
    with pytest.raises(ValueError, match=r"frozen encoders.*Received: \['text'\] not frozen"):
        training.solve_head(model, {"image": [b""], "text": ["a"]}, [0])
