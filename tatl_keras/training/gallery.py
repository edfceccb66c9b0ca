"""One page of the examples that show best what a model goes by."""

import numpy as np
import tensorflow as tf

from tatl_keras._files import write_whole
from tatl_keras.features.rows import rows_of
from tatl_keras.models.examples import as_dataset
from tatl_keras.training.gallery_page import gallery_page
from tatl_keras.training.gallery_selection import select_examples
from tatl_keras.training.picture_view import picture_view


def explanation_gallery(model, examples, path, *, count=6, batch_size=None, **options):
    """Explains a model's best, worst, most changed and most uncertain answers on one HTML page.

        p, q = softmax of the logits with and without the text; answer a = argmax p

        best         a = label: the highest p[label]
        worst        a ≠ label: the lowest p[label]
        changed      rows with a text: the largest |p[a] - q[a]|
        uncertain    the highest entropy -Σ p log p

    Only the chosen examples are explained (see `model.explain`) and drawn (see
    `draw_explanation`). Without labels there is no best and worst, and the page says so; it needs
    no other file and no network.

    Args:
        model: a `TextAssistedClassifier`.
        examples: data set of `data.load`, with or without labels, or a list of dicts with `image`
            and `text`, as `model.predict` takes them.
        path: HTML file to write.
        count: int ≥ 1, the most examples of each kind.
        batch_size: int, examples predicted at once.
        **options: arguments of `model.explain`.

    Returns:
        List of dicts, one for each chosen example, in their order: `id` (its name in `data.load`,
        else its place), `row` (its place), `sections` (what it was chosen for), `image` (bytes),
        `text`, `label` (str or `None`), `view` (see `picture_view`) and `explanation`.

    Raises:
        ValueError: `count` is below 1; there is no example; labels are not those of the model.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import data, zoo
    >>> examples = data.synthetic.examples(2, 8)
    >>> model = zoo.build("test_bert_text_only", num_classes=2)
    >>> history = model.fit(examples, epochs=1, verbose=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "gallery.html")
    >>> found = explanation_gallery(model, examples, path, count=1, grade=False, verbose=0)
    >>> os.path.exists(path), 0 < len(found) <= 4
    (True, True)
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}")
    ids, raw = getattr(examples, "ids", None), as_dataset(examples)
    texts, labels = _texts_and_labels(raw)
    if not texts:
        raise ValueError("`examples` must hold at least one example. Received: none")
    has_text = np.array([bool(text.strip()) for text in texts])
    reads_text = "text" in model.encoders and has_text.any()
    predict = {"batch_size": batch_size, "verbose": 0}
    logits = model.predict(raw.map(_inputs), **predict)
    without = model.predict(raw.map(_without_text), **predict) if reads_text else None
    chosen = select_examples(logits, without, labels, has_text=has_text, count=count)
    rows = sorted({row for rows in chosen.values() for row in rows or ()})
    images = _images(raw, rows)
    asked = [{"image": images[row], "text": texts[row]} for row in rows]
    explanations = model.explain(asked, **options)
    found = []
    for row, example, explanation in zip(rows, asked, explanations, strict=True):
        label = None if labels is None else explanation.class_names[int(labels[row])]
        sections = [name for name, places in chosen.items() if row in (places or ())]
        name = str(row if ids is None else ids[row])
        known = {"id": name, "row": row, "sections": sections, **example, "label": label}
        view = picture_view(model, example["image"])
        found.append(known | {"view": view, "explanation": explanation})
    page = gallery_page(found, chosen, logits, without, labels)
    write_whole(path, page.encode())
    return found


def _inputs(x, *_):
    return x


def _without_text(x, *_):
    return x | {"text": tf.zeros_like(x["text"])}


def _texts_and_labels(raw):
    """Lists of texts and of labels, `None` for the labels where there are none."""
    texts, labels = [], []
    for x, y, _ in rows_of(raw):
        texts.append(x.get("text", b"").decode("utf-8", "replace"))
        labels += [] if y is None else [y]
    return texts, np.array(labels) if labels else None


def _images(raw, rows):
    """Dict from some rows to their encoded pictures."""
    wanted, images = set(rows), {}
    for row, (x, *_) in enumerate(rows_of(raw)):
        if row in wanted:
            image = x.get("image", b"")
            images[row] = image if isinstance(image, bytes) else _encode(image)
    return images


def _encode(pixels):
    pixels = tf.saturate_cast(tf.round(tf.cast(pixels, tf.float32)), tf.uint8)
    return tf.io.encode_png(pixels).numpy()
