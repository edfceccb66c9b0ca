"""Folders of runs as `tatl-train` leaves them, without a training."""

import numpy as np

from tatl_keras import training
from tatl_keras.training import workdir as files

VERSIONS = {"python": "3.11.9", "tatl_keras": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"}


def draw(classes, count, seed=0, skill=1.5):
    """Labels and logits of a model that is right more often than not, and too sure."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count).astype(np.int32)
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), labels] += skill
    return labels, logits


def write_run(folder, names, labels, logits, *, ids=None, flags=None, **changes):
    """Writes all files of a finished run but `model.keras` and the report; returns its metrics.

    Args:
        folder: made.
        names: list of str, the classes.
        labels, logits: of the test split.
        ids: names of its examples.
        flags: dict, those of the run.
        **changes: of `config.json`'s `seed`, `smoke`, `versions`, `fingerprint`, `model`.
    """
    folder.mkdir(parents=True)
    ids = [f"row {i}" for i in range(len(labels))] if ids is None else ids
    counted = {
        name: int(count)
        for name, count in zip(names, np.bincount(labels, minlength=len(names)), strict=True)
    }
    summary = {"num_examples": len(labels), "class_counts": counted, "missing_text": 1,
               "missing_image": 0, "source": "pets.csv", "notes": []}  # fmt: skip
    prints = {"train": "a" * 64, "test": changes.get("fingerprint", "b" * 64)}
    data = {role: {**summary, "split": role, "fingerprint": p} for role, p in prints.items()}
    part = {"parameters": 9000, "learned": 0}
    config = {
        "program": files.PROGRAM,
        "command": ["tatl-train", "--data=my pets.csv", f"--workdir={folder}"],
        "started": "2026-01-31T12:00:00+00:00",
        "smoke": changes.get("smoke", False),
        "seed": changes.get("seed", 0),
        "flags": {"data": "my pets.csv", "epochs": 3, "workdir": str(folder), **(flags or {})},
        "versions": changes.get("versions", VERSIONS),
        "recipe": {"optimizer": {"class_name": "AdamW"}, "dtype_policy": "float32"},
        "model": {
            "name": changes.get("model", "some_model"), "class_names": names,
            "trainable_parameters": 1000, "parameters": 10000,
            "parts": {"image encoder": part, "head": {"parameters": 1000, "learned": 1000}},
            "encoders": {"image": {"preset": "some_preset", "frozen": True}},
        },
        "data": data,
    }  # fmt: skip
    history = {"loss": [1.5, 0.9, 0.7], "accuracy": [0.4, 0.6, 0.75], "val_loss": [1.4, 1.0, 0.9]}
    rows = [
        f"{i + 1},{s}" + "".join(f",{h[i]}" for h in history.values())
        for i, s in enumerate([9.0, 2.0, 4.0])
    ]
    metrics = training.classification_metrics(labels, logits, names)
    metrics |= {"split": "test", "epochs": 3, "fit_seconds": 75.2,
                "seconds": {"prepare": 60.0, "evaluate": 0.5}}  # fmt: skip
    training.write_json(folder / files.CONFIG, config)
    (folder / files.HISTORY).write_text(
        "\n".join([",".join(["epoch", "seconds", *history]), *rows]) + "\n"
    )
    training.draw_curves({"some_model": history}, folder / files.CURVES)
    training.write_predictions(folder / files.PREDICTIONS, ids, labels, logits)
    training.write_json(folder / files.METRICS, metrics)
    (folder / files.MODEL).write_bytes(b"weights")
    return metrics
