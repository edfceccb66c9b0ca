"""What happened in each epoch, for a spreadsheet and for TensorBoard."""

import csv
import io
import os
import time

import keras
import tensorflow as tf

from tatl_keras._files import write_whole
from tatl_keras.training.boards_events import write_summary


class HistoryLog(keras.callbacks.Callback):
    """Writes each epoch's loss and metrics to a CSV file and to TensorBoard logs.

    The CSV file has the columns `epoch` (from 1), `seconds` and one per metric, those of the
    validation data with `val_` before their name. TensorBoard shows them as `epoch_loss` and so
    on, training and validation in one chart. The `tensorboard` package is needed to look at the
    logs, not to write them.

    Args:
        csv_path: file to write, or `None`.
        log_dir: folder for `train/` and `validation/`, or `None`.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import zoo
    >>> folder = tempfile.mkdtemp()
    >>> log = HistoryLog(os.path.join(folder, "history.csv"), os.path.join(folder, "logs"))
    >>> model = zoo.build("test_bert_text_only", num_classes=2)
    >>> _ = model.fit({"text": ["cat", "dog"]}, [0, 1], epochs=2, verbose=0, callbacks=[log])
    >>> sorted(read_history(os.path.join(folder, "history.csv")))
    ['accuracy', 'loss', 'seconds']
    >>> os.listdir(os.path.join(folder, "logs"))
    ['train']
    """

    def __init__(self, csv_path=None, log_dir=None):
        super().__init__()
        self.csv_path = csv_path
        self.log_dir = log_dir
        self._rows = []
        self._writers = {}

    def get_state(self):
        """The rows of the CSV file, for `BackupAndRestore`."""
        return {"rows": self._rows}

    def set_state(self, state):
        """Makes the CSV file end where the checkpoint does."""
        self._rows = state["rows"]
        if self.csv_path is not None and self._rows:
            self._write_rows()

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self.csv_path is not None:
            seconds = round(time.monotonic() - self._start, 4)
            self._rows.append({"epoch": epoch + 1, "seconds": seconds, **values})
            self._write_rows()
        if self.log_dir is not None:
            for name, value in values.items():
                self._write_scalar(name, value, epoch + 1)

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _write_rows(self):
        """Replaces the file as a whole: what is there survives whatever happens next."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self._rows[0]), restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self._rows)
        write_whole(self.csv_path, text.getvalue().encode())

    def _write_scalar(self, name, value, step):
        part = "validation" if name.startswith("val_") else "train"
        if part not in self._writers:
            folder = os.path.join(self.log_dir, part)
            self._writers[part] = tf.summary.create_file_writer(folder)
        with self._writers[part].as_default():
            tag = f"epoch_{name.removeprefix('val_')}"
            write_summary(tag, tf.constant(value, tf.float32), step, "scalars")
        self._writers[part].flush()


def read_history(csv_path):
    """Reads what `HistoryLog` wrote.

    Args:
        csv_path: the file.

    Returns:
        A dict from column to a list of floats, one an epoch, as `keras.callbacks.History.history`.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "history.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("epoch,seconds,loss\\n1,0.5,0.7\\n2,0.1,0.6\\n")
    >>> read_history(path)["loss"]
    [0.7, 0.6]
    """
    with open(csv_path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in (rows[0] if rows else {}) if name != "epoch"]
    return {name: [float(row[name]) for row in rows if row[name] != ""] for name in columns}
