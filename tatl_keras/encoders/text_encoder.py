"""What all text encoders share: token ids and a padding mask as inputs."""

from keras import ops

from tatl_keras.encoders.base import Encoder, output_spec

_KEYS = ("token_ids", "padding_mask")


class TextEncoder(Encoder):
    """Turns token ids into tokens, one pooled vector and a mask.

        encoder({"token_ids": (B, L), "padding_mask": (B, L)})
            -> {"tokens": (B, L, D), "pooled": (B, D), "mask": (B, L)}

    Shape letters: B batch, L text length, D channels (`output_dim`). The mask is the padding mask
    as int32, 1 for a real token. Ids in masked places have no effect on `pooled`, and a text with
    nothing unmasked gets a zero vector. For the states of learning see `Encoder`.

    Call arguments:
        inputs: dict of "token_ids" (B, L), integers, and "padding_mask" (B, L), integers or
            booleans, nonzero = real. Further entries are ignored.

    Raises:
        ValueError: the inputs are not two equal (B, L) shapes, or L exceeds
            `max_sequence_length`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True  # the layers inside are made and built by the constructors

    @property
    def vocabulary_size(self):
        """Number of token ids, or None if it is not known."""
        raise NotImplementedError

    @property
    def max_sequence_length(self):
        """Largest L, or None if there is no limit."""
        return None

    def compute_output_shape(self, input_shape):
        batch, length = self._check_shapes(input_shape)
        return {
            "tokens": (batch, length, self.output_dim),
            "pooled": (batch, self.output_dim),
            "mask": (batch, length),
        }

    def compute_output_spec(self, inputs, training=None):
        return output_spec(self.compute_output_shape(_shapes_of(inputs)))

    def _read(self, inputs):
        """Returns (token_ids, padding_mask) as int32 (B, L), the mask 0 or 1."""
        self._check_shapes(_shapes_of(inputs))
        mask = ops.cast(ops.not_equal(inputs["padding_mask"], 0), "int32")
        return ops.cast(inputs["token_ids"], "int32"), mask

    def _check_shapes(self, shapes):
        """Returns (B, L), either of which may be None."""
        if not isinstance(shapes, dict) or not set(_KEYS) <= set(shapes):
            found = sorted(shapes) if isinstance(shapes, dict) else f"a tensor {tuple(shapes)}"
            raise ValueError(
                "`inputs` must be a dict with 'token_ids' and 'padding_mask'. "
                f"Received: inputs={found}. The model's preprocessor makes both."
            )
        ids, mask = (tuple(shapes[key]) for key in _KEYS)
        fits = all(None in pair or pair[0] == pair[1] for pair in zip(ids, mask, strict=False))
        if len(ids) != 2 or len(mask) != 2 or not fits:
            raise ValueError(
                "`token_ids` and `padding_mask` must be of one shape (B, L). Received: "
                f"token_ids.shape={ids}, padding_mask.shape={mask}. "
                "Pad the texts of a batch to one length."
            )
        length = ids[1] if ids[1] is not None else mask[1]
        limit = self.max_sequence_length
        if None not in (limit, length) and length > limit:
            raise ValueError(
                f"`token_ids` must be at most {limit} tokens long, the positions this backbone "
                f"knows. Received: token_ids.shape={ids}. Lower the preprocessor's length."
            )
        return ids[0], length


def _shapes_of(inputs):
    if isinstance(inputs, dict):
        return {name: value.shape for name, value in inputs.items()}
    return inputs.shape
