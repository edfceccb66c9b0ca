"""Which part of a picture a model sees."""

import tensorflow as tf

from tatl_keras.data import decode_image

WHOLE = (0.0, 0.0, 1.0, 1.0)


def picture_view(model, image):
    """The part of a picture that a model sees: converters may cut it to their shape, or fill it up.

        cut        the largest part of the wanted shape, in the middle
        filled up  the smallest frame of the wanted shape round the picture
        else       all of it, distorted

    Regions and maps of an explanation lie on this part.

    Args:
        model: a `TextAssistedClassifier`.
        image: bytes of a picture, or empty.

    Returns:
        `(top, left, bottom, right)` in shares of the picture's height and width; below 0 and above
        1 where it is filled up.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> wide = tf.io.encode_png(tf.zeros((10, 20, 3), tf.uint8)).numpy()
    >>> picture_view(model, wide)
    (0.0, 0.25, 1.0, 0.75)
    """
    converter = None if model.preprocessor is None else model.preprocessor.image_converter
    cut = bool(getattr(converter, "crop_to_aspect_ratio", False))
    fill = bool(getattr(converter, "pad_to_aspect_ratio", False))
    if not image or not (cut or fill):
        return WHOLE
    height, width = decode_image(tf.constant(bytes(image))).shape[:2]
    rows, columns = converter.image_size
    # How high the wanted shape is, and how wide, where its other side is the picture's.
    shares = (width * rows / columns / height, height * columns / rows / width)
    shares = [min(1.0, share) if cut else max(1.0, share) for share in shares]
    top, left = ((1 - share) / 2 for share in shares)
    return top, left, 1 - top, 1 - left
