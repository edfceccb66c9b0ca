"""Whether pictures and texts are encoded into one space."""


def share_space(image_encoder, text_encoder):
    """Whether two encoders are the towers of one model, their pooled vectors compared by cosine.

    Args:
        image_encoder, text_encoder: encoders of `tatl_keras.encoders`, or `None`.

    Returns:
        bool.

    Example:

    >>> from tatl_keras import encoders
    >>> image_encoder, _ = encoders.build_image("test_image")
    >>> text_encoder, _ = encoders.build_text("test_text")
    >>> encoders.share_space(image_encoder, text_encoder)
    False
    """
    if image_encoder is None or text_encoder is None:
        return False
    backbones = [getattr(one, "backbone", None) for one in (image_encoder, text_encoder)]
    wholes = [getattr(backbone, "whole", None) for backbone in backbones]  # what they are halves of
    same = wholes[0] is not None and wholes[0] is wholes[1]
    return same and image_encoder.output_dim == text_encoder.output_dim
