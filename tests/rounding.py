"""How far the features of a row may lie apart where it stands elsewhere in its batch."""

from pathlib import Path

import numpy as np
from tensorflow.python.framework.test_util import IsMklEnabled

ROUNDING = 5e-6  # of the largest value


def same_order_in_every_row():
    """Whether this processor sums all rows of a batch of 8 alike: oneDNN does with AVX-512."""
    processor = Path("/proc/cpuinfo")
    flags = processor.read_text() if processor.exists() else ""
    return IsMklEnabled() and "avx512f" in flags


def assert_same_features(found, expected, name=""):
    """Asserts equality to the bit, or to rounding where kernels sum rows in different orders."""
    expected = np.asarray(expected)
    if same_order_in_every_row() or expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=name)
    else:
        atol = ROUNDING * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)
