"""The features a fusion reads, and the checks of their shapes."""

from keras import ops

from tatl_keras.layers.checks import shapes_agree

AXES = {
    "image_tokens": ("B", "T", "Di"),
    "image_pooled": ("B", "Di"),
    "image_mask": ("B", "T"),
    "has_image": ("B",),
    "text_tokens": ("B", "L", "Dt"),
    "text_pooled": ("B", "Dt"),
    "text_mask": ("B", "L"),
    "has_text": ("B",),
}


def check_features(shapes, uses, channels=None):
    """Returns the shapes of the features named in `uses` as tuples.

    Args:
        shapes: dict of feature name to static shape; names not in `uses` are ignored.
        uses: the names a fusion reads.
        channels: the numbers of channels by feature name that the fusion was built for, if it was.

    Raises:
        ValueError: `shapes` is no dict, lacks a name in `uses`, or holds a shape of another rank,
            of unknown or other channels, or a mask of another length than its tokens.
    """
    if not isinstance(shapes, dict):
        raise ValueError(
            "`features` must be a dict of tensors. "
            f"Received: features of type {type(shapes).__name__}. "
            f"This fusion reads {', '.join(uses)}."
        )
    missing = [name for name in uses if name not in shapes]
    if missing:
        raise ValueError(
            f"`features` must hold {', '.join(uses)}. Received: features with "
            f"{', '.join(sorted(shapes)) or 'nothing'}. Missing: {', '.join(missing)}."
        )
    shapes = {name: tuple(shapes[name]) for name in uses}
    for name, shape in shapes.items():
        _check_shape(name, shape, (channels or {}).get(name))
    for modality in ("image", "text"):
        tokens, mask = shapes.get(f"{modality}_tokens"), shapes.get(f"{modality}_mask")
        if tokens and mask and not shapes_agree(tokens[:2], mask):
            raise ValueError(
                f"`{modality}_mask` must have one entry per token. "
                f"Received: {modality}_mask.shape={mask}, {modality}_tokens.shape={tokens}. "
                "Both share the batch axis and the length."
            )
    return shapes


def _check_shape(name, shape, channels):
    axes = AXES[name]
    if len(shape) != len(axes):
        raise ValueError(
            f"`{name}` must have shape ({', '.join(axes)}). Received: {name}.shape={shape}. "
            "The batch axis comes first."
        )
    if not axes[-1].startswith("D"):
        return
    if shape[-1] is None:
        raise ValueError(
            f"`{name}` must have a known number of channels. Received: {name}.shape={shape}. "
            "Only the batch and the length may be None."
        )
    if channels is not None and shape[-1] != channels:
        raise ValueError(
            f"`{name}` must have {channels} channels, as when the fusion was built. "
            f"Received: {name}.shape={shape}. Use a new fusion for another encoder."
        )


def token_mask(features, modality):
    """The boolean mask of a modality's tokens, all False where the row lacks the modality."""
    present = ops.expand_dims(ops.cast(features[f"has_{modality}"], "bool"), 1)
    return ops.logical_and(ops.cast(features[f"{modality}_mask"], "bool"), present)
