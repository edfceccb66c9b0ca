"""An export of a model that writes: compared with the model, and moved to its place."""

import tatl_keras
from tatl_keras.bin import exporting


def examples(config, model, count):
    """Some pictures or texts of the data, and an empty one.

    Args:
        config: `config.json` of the run.
        model: a `Captioner` or `Translator`.
        count: int.

    Returns:
        A list of bytes.
    """
    (about,) = model.encoders
    options = {"verbose": False, "on_bad": "skip"} | ({"verify": None} if about == "image" else {})
    found = exporting.found_or_made_up(config, count, **options)
    rows = found.map(lambda x, *_: x[about]).take(count)
    return [*rows.as_numpy_iterator(), b""]


def export_verified(model, output, rows, *, lossy, sampler, max_length, **options):
    """Exports beside `output`, verifies, and renames; a wrong export leaves nothing behind.

    Args:
        model: a `Captioner` or `Translator`.
        output: as of `exporting.placing`.
        rows: list of bytes, pictures or texts.
        lossy: bool, whether the export need not write as the model does; then a new process must
            write as it does here.
        sampler, max_length, **options: further arguments of `model.export`.

    Returns:
        The folder of the export, and the largest difference between log-probabilities.

    Raises:
        ValueError: the export writes something else than the model.
    """
    how, (about,) = {"sampler": sampler, "max_length": max_length}, model.encoders
    with exporting.placing(output) as place:
        model.export(place.beside, **how, **options)
        if lossy:
            answer = tatl_keras.serving.load(place.beside).answer(rows)
            texts = [[text.decode() for text in some] for some in answer["texts"]]
            log_probs = answer["log_probs"]
        else:
            written = model.generate({about: rows}, return_details=True, **how)
            texts = [[one.text] for one in written]
            log_probs = [[one.log_prob] for one in written]
        name = {"image": "image_bytes", "text": "text"}[about]
        difference = tatl_keras.serving.verify_texts(place.beside, {name: rows}, texts, log_probs)
    return place.path, difference
