"""The confusion matrix as a picture: where the shades lie, by pixels."""

import io

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.training import draw_confusion

DARKEST = np.array([8, 48, 107])  # the end of the scale: 100 % of a row


def drawn(confusion, names):
    file = io.BytesIO()
    draw_confusion(confusion, names, file)
    return tf.io.decode_png(file.getvalue(), channels=3).numpy().astype(int)


def darkest(image):
    """(rows, columns) of the pixels of full squares; the scale beside them is cut off."""
    squares = image[:, : int(0.8 * image.shape[1])]
    return np.nonzero(np.abs(squares - DARKEST).max(axis=-1) < 3)


def test_rows_are_true_classes_and_shades_are_shares_of_a_row():
    # Everything is taken for the second class: a tall dark column. Transposed it would be a row.
    rows, columns = darkest(drawn([[0, 1], [0, 500]], ["a", "b"]))
    assert np.ptp(columns) > 100 and 1.9 < np.ptp(rows) / np.ptp(columns) < 2.1
    right = columns.min()
    rows, columns = darkest(drawn([[5, 0], [3, 0]], ["a", "b"]))
    assert 1.9 < np.ptp(rows) / np.ptp(columns) < 2.1 and columns.max() <= right
    middle = (rows.min() + rows.max()) / 2
    rows, columns = darkest(drawn([[4, 4], [0, 8]], ["a", "b"]))  # halves are not dark
    assert 0.9 < np.ptp(rows) / np.ptp(columns) < 1.1
    assert rows.min() > middle - 3 and columns.min() > right - 3


def test_numbers_are_left_out_of_many_classes():
    def inks(classes):
        image = drawn(np.ones((classes, classes), int) * 8, [""] * classes)
        middle = image[image.shape[0] // 3 : image.shape[0] // 2, 150:500]
        return len(np.unique(middle.reshape(-1, 3), axis=0))

    assert inks(20) > 20 and inks(21) < 10


@pytest.mark.parametrize(
    ("confusion", "received"),
    [
        ([[1, 2]], r"shape \(1, 2\) with values from 1"),
        ([[1, -2], [0, 1]], r"shape \(2, 2\) with values from -2"),
        (np.ones((3, 3), int), r"shape \(3, 3\) with values from 1"),
    ],
)
def test_what_is_no_confusion_matrix(confusion, received):
    with pytest.raises(ValueError, match=rf"`confusion` must be.*\(2, 2\).*Received: .*{received}"):
        draw_confusion(confusion, ["a", "b"], io.BytesIO())
