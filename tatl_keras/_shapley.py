"""What each of two modalities contributes."""

import numpy as np


def shapley(neither, image, text, both):
    """The exact Shapley value with two players, pictures and text.

        phi_image = ((image - neither) + (both - text)) / 2
        phi_text  = ((text - neither) + (both - image)) / 2
        phi_image + phi_text = both - neither

    Each gets the mean of what it adds alone and what it adds to the other.

    Args:
        neither, image, text, both: floats of one shape, the accuracy or probability with what the
            name says.

    Returns:
        `(phi_image, phi_text)`.

    Example:

    >>> phi_image, phi_text = shapley(0.25, 0.75, 0.875, 1.0)
    >>> float(phi_image), float(phi_text)
    (0.3125, 0.4375)

    Reference: Shapley, A Value for n-Person Games, 1953.
    """
    neither, image, text, both = (np.asarray(v, np.float64) for v in (neither, image, text, both))
    return ((image - neither) + (both - text)) / 2, ((text - neither) + (both - image)) / 2
