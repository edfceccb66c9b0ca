"""An encoder as one compiled function, as fast as its outputs allow."""

import tensorflow as tf

from tatl_keras.encoders.base import Encoder
from tatl_keras.encoders.folding import fold_batch_norm, fold_in_place, inference_copy

_OUTPUTS = ("tokens", "pooled", "mask")
_TEXT = ("token_ids", "padding_mask")
# dtype → Keras's policy. Variables stay float32: rounding them at each call takes a few percent of
# the time, but rounding what is added up and normalised with them would cost accuracy.
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", None: None}


def inference_function(encoder, *, dtype="float32", jit_compile=False, outputs=_OUTPUTS):
    """Compiles an encoder for inference.

        function(inputs) = encoder(inputs, training=False)

    up to rounding: batch normalisation is folded into the convolutions before it
    (`fold_batch_norm`), which changes float32 outputs by some 1e-6 of their largest value, and
    `dtype="bfloat16"` rounds the weights and the result of every layer to 8 bits.

    Rows do not mix, and in batches of a multiple of 8 no bit of a row's outputs depends on the
    other rows nor on its place among them, on processors for which TensorFlow takes oneDNN's
    kernels with AVX-512. On others, and with other sizes, kernels add up some rows in another
    order, which changes outputs by some 1e-6 of their largest value.

    Args:
        encoder: an `Encoder`, frozen or not. It is left as it is. The function is made for its
            weights as they are now; make another one after they have changed.
        dtype: "float32", "bfloat16", or None for what the encoder's own dtype policy says: the
            dtype of the computation. Processors with bfloat16 instructions are about twice as fast
            with it, others slower.
        jit_compile: bool, whether XLA compiles. On accelerators that pays; on a CPU networks of
            convolutions become much slower.
        outputs: names of what to return, of "tokens", "pooled" and "mask". What is left out is
            not computed.

    Returns:
        A function of a batch of what the encoder reads: `images` (B, H, W, 3), or a dict of
        "token_ids" and "padding_mask" (B, L), as arrays or tensors. It returns a dict of tensors,
        "tokens" (B, T, D) and "pooled" (B, D), float32, and "mask" (B, T), int32. The first
        shape is compiled by itself, and others together when a second is seen.

    Raises:
        ValueError: an argument is none of those above.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder, _ = encoders.build_image("test_image")
    >>> encode = encoders.inference_function(encoder, outputs=("pooled",))
    >>> features = encode(np.zeros((2, 32, 32, 3), "uint8"))
    >>> {name: (tuple(value.shape), value.dtype.name) for name, value in features.items()}
    {'pooled': ((2, 24), 'float32')}
    """
    _check(encoder, dtype, jit_compile, outputs)
    network = _network(encoder, dtype)

    @tf.function(autograph=False, jit_compile=jit_compile, reduce_retracing=True)
    def compiled(inputs):
        encoded = network(inputs, training=False)
        return {name: encoded[name] for name in outputs}

    def function(inputs):
        if isinstance(inputs, dict):
            inputs = {name: tf.cast(inputs[name], "int32") for name in _TEXT if name in inputs}
        return compiled(tf.nest.map_structure(tf.convert_to_tensor, inputs))

    return function


def _network(encoder, dtype):
    """The encoder itself where nothing is to be changed, else a frozen copy."""
    policy = _POLICIES[dtype]
    policies = {layer.dtype_policy.name for layer in encoder._flatten_layers()}
    if policy is None or policies == {policy}:
        return fold_batch_norm(encoder)
    copy = inference_copy(encoder, policy)
    fold_in_place(copy)
    return copy


def _check(encoder, dtype, jit_compile, outputs):
    if not isinstance(encoder, Encoder):
        raise ValueError(
            f"`encoder` must be an Encoder. Received: encoder={encoder!r}. "
            "`ImageEncoder(backbone)` makes one of a backbone."
        )
    if dtype not in tuple(_POLICIES):
        raise ValueError(
            f"`dtype` must be one of {tuple(_POLICIES)}. Received: dtype={dtype!r}. "
            "None computes as the encoder does."
        )
    if not isinstance(jit_compile, bool):
        raise ValueError(
            f"`jit_compile` must be True or False. Received: jit_compile={jit_compile!r}. "
            "Keras's 'auto' is not decided here."
        )
    if isinstance(outputs, str) or not outputs or not set(outputs) <= set(_OUTPUTS):
        raise ValueError(
            f"`outputs` must be one or more of {_OUTPUTS}. Received: outputs={outputs!r}. "
            "One name alone is written ('pooled',)."
        )
