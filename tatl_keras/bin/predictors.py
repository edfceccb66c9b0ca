"""Trained models of every form, and the examples they are asked about."""

import collections
import dataclasses
import os
import tempfile
from typing import Any

import tatl_keras
from tatl_keras.bin import common, data_flags, trained

_SAVED_MODEL = "saved_model.pb"
_COLUMN_FLAGS = ("image_column", "text_column")
_TASKS = {None: "classify", "image": "caption", "text": "translate"}
# Columns that a model of a task does not read.
_UNREAD = {"classify": {}, "caption": {"text": False}, "translate": {"image": False}}


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model that gives probabilities, or writes.

    Attributes:
        model: a `TextAssistedClassifier`, `Captioner` or `Translator`, or a `serving.LoadedModel`
            or `LoadedWriter`.
        config: `config.json` of the run it came from, or `None`.
    """

    model: Any
    config: dict | None = None

    @property
    def writes_about(self):
        """What a model that writes reads, "image" or "text"; `None` for one that classifies."""
        if isinstance(self.model, tatl_keras.serving.LoadedWriter):
            return self.model.source
        kinds = (tatl_keras.models.Captioner, tatl_keras.models.Translator)
        return next(iter(self.model.encoders)) if isinstance(self.model, kinds) else None

    @property
    def class_names(self):
        """Names in the order of the probabilities; numbers where the model has none."""
        return self.model.class_names or [str(i) for i in range(self.model.num_classes)]

    def answers(self, examples, batch_size):
        """Yields, for each batch of a data set without labels, probabilities and evidence.

        Args:
            examples: data set of `data.load`, without labels.
            batch_size: int.

        Yields:
            Floats (B, num_classes) and a list of B strings, what each answer rests on.
        """
        import tensorflow as tf

        from tatl_keras.serving import prediction_rows

        if isinstance(self.model, tatl_keras.serving.LoadedModel):
            for batch in examples.batch(batch_size).as_numpy_iterator():
                answer = self.model.answer(batch["image"], batch["text"], batch_size)
                probabilities = prediction_rows.complete_probabilities(answer)
                yield probabilities, [found.decode() for found in answer["evidence"]]
            return
        evidence = tatl_keras.models.evidence
        for tensors in self.model.preprocessor.dataset(examples, batch_size):
            read = {f"has_{modality}" for modality in self.model.encoders}
            has = {name: value for name, value in tensors.items() if name in read}
            found = [evidence.EVIDENCE[place] for place in evidence.evidence(has)]
            yield tf.nn.softmax(self.model.predict_on_batch(tensors)).numpy(), found


def open_model(path):
    """Loads a model from a workdir, a `.keras` file, a preset folder or an exported folder.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: what is there is no model.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"--model must be a workdir, a .keras file or an exported folder. Received: {path!r}, "
            "which does not exist"
        )
    if os.path.isfile(path):
        if not path.endswith(".keras"):
            raise ValueError(f"--model must be a .keras file when it is a file. Received: {path!r}")
        return Predictor(trained.load_model(path))
    present = os.listdir(path)
    if _SAVED_MODEL in present:
        return Predictor(tatl_keras.serving.load(path))
    if "config.json" in present and "weights.npz" in present:
        return Predictor(tatl_keras.zoo.from_preset(path))
    if "config.json" in present:
        config = trained.read_config(path)
        return Predictor(trained.load_model(path), config)
    versions = sorted(name for name in present if name.isdecimal())
    hint = f" Did you mean {os.path.join(path, versions[-1])!r}?" if versions else ""
    raise ValueError(
        f"--model must be a workdir, a .keras file or an exported folder. Received: {path!r}, "
        f"which holds none of them.{hint}"
    )


def load_examples(predictor, split=None, **overrides):
    """Loads the examples of `--data`; rows that cannot be read are left out and listed.

    A named split is divided off as in training, for which labels are needed; otherwise they are
    not looked at.

    Args:
        predictor: `Predictor`.
        split: name of a split, or `None` for every row.
        **overrides: as of `load_manifest`, where the model has no run of its own.

    Returns:
        A data set of `data.load`, without labels.
    """
    config, task = predictor.config, _TASKS[predictor.writes_about]
    if task == "translate" and data_flags.DATA.value.startswith(data_flags.EMOJI):
        return without_labels(data_flags.load_for(task, split or "all", on_bad="skip"))
    if split in (None, "all"):
        columns = {name: config["flags"][name] for name in _COLUMN_FLAGS} if config else None
        return load_manifest(data_flags.DATA.value, columns, **_UNREAD[task], **overrides)
    if config:
        return without_labels(trained.load_split(config, split, on_bad="skip"))
    return without_labels(data_flags.load_for(task, split, on_bad="skip", **overrides))


def load_manifest(source, columns=None, **overrides):
    """Loads every row of a source without its label; arguments as those of `data_flags.load`."""
    overrides = {"source": source, "label": False, "on_bad": "skip"} | overrides
    return data_flags.load("all", columns, **overrides)


def load_named(images, texts):
    """Loads pictures by their paths, and texts.

    Args:
        images: list of paths, or of empty strings.
        texts: equally long list of str.

    Returns:
        `(examples, errors)`: a data set as of `data.load`, or `None` where no row can be read, and
        a list of rows of the output for those that cannot.
    """
    import pandas

    paths = {image: os.path.abspath(image) if image else "" for image in images}
    rows = pandas.DataFrame({"image": images, "text": texts})
    rows["id"] = names_of(images)
    problems, _ = tatl_keras.data.pictures.FilePictures(paths).check(rows, "decode")
    errors = [{"id": rows["id"][i], "error": text} for i, text in sorted(problems.items())]
    rows = rows.drop(index=list(problems))
    if rows.empty:
        return None, errors
    rows["image"] = rows["image"].map(paths)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "arguments.jsonl")
        rows.to_json(path, orient="records", lines=True)
        columns = {role: role for role in ("image", "text", "id")}
        return load_manifest(path, **columns, where=None, verify=None, verbose=False), errors


def names_of(images):
    """A different name for each row: the picture as it was typed, or the text's place."""
    seen, names = collections.Counter(), []
    for place, image in enumerate(images, start=1):
        seen[image] += 1
        again = f"#{seen[image]}" if seen[image] > 1 else ""
        names.append(f"{image}{again}" if image else f"text {place}")
    return names


def predict(predictor, examples, top_k, batch_size):
    """The rows of the output: dicts with `id`, `label`, `probability`, `evidence` and `top`.

    A row that could not be read has an `id` and an `error`.

    Args:
        predictor: `Predictor`.
        examples: data set of `data.load`, without labels.
        top_k: int, how many classes `top` holds.
        batch_size: int.

    Returns:
        A list of dicts in the order of the examples; those that could not be read come last.
    """
    from tatl_keras.serving import prediction_rows

    names, ids, rows = predictor.class_names, iter(examples.ids), []
    for probabilities, evidence in predictor.answers(examples, batch_size):
        for values, found in zip(probabilities, evidence, strict=True):
            row = prediction_rows.prediction_row(values, found, names, top_k)
            rows.append({"id": next(ids), **row})
    skipped = examples.summary.get("skipped", [])
    return rows + [{"id": row["id"], "error": row["reason"]} for row in skipped]


def smoke(stack):
    """A tiny model and made-up examples (see `trained.smoke_workdir`)."""
    predictor = open_model(trained.smoke_workdir(stack, common.MODEL.value))
    return predictor, without_labels(trained.load_split(predictor.config))


def without_labels(examples):
    """The same examples without their labels; as everywhere, `map` loses the attributes."""
    bare = examples.map(lambda x, *_: x)
    bare.ids, bare.rows = examples.ids, getattr(examples, "rows", None)
    bare.summary = {name: v for name, v in examples.summary.items() if name != "skipped"}
    return bare
