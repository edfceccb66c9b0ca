"""Exchange of configurations and weights with `keras.layers.MultiHeadAttention`."""

import keras

SHARED = (
    "name",
    "trainable",
    "dtype",
    "num_heads",
    "key_dim",
    "value_dim",
    "dropout",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "seed",
)
PARTS = {
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "output": "output_dense",
}


def from_keras(cls, layer, arguments):
    """A `cls` with the settings and, if it is built, the weights of a Keras layer."""
    if not isinstance(layer, keras.layers.MultiHeadAttention):
        raise ValueError(
            f"`layer` must be a keras.layers.MultiHeadAttention. Received: layer={layer!r}. "
            "Other layers have other weights."
        )
    config = layer.get_config()
    _refuse_settings(layer, config)
    settings = {name: config[name] for name in SHARED}
    copy = cls(output_shape=config["output_shape"], **{**settings, **arguments})
    if layer.built:
        widths = {name: getattr(layer, part).kernel.shape[0] for name, part in PARTS.items()}
        copy.build(
            (None, None, widths["query"]),
            (None, None, widths["value"]),
            (None, None, widths["key"]),
        )
        for name, part in PARTS.items():
            _copy_weights(getattr(layer, part), copy, name, to_keras=False)
    return copy


def to_keras(layer):
    """The Keras layer with the settings and, if it is built, the weights of `layer`."""
    _refuse("use_output_projection", layer.use_output_projection, True)
    _refuse("position", layer.position, None)
    _refuse("activity_regularizer", layer.activity_regularizer, None)
    config = layer.get_config()
    copy = keras.layers.MultiHeadAttention(
        output_shape=layer.output_dim, **{name: config[name] for name in SHARED}
    )
    if layer.built:
        query, value, key = (
            (None, None, getattr(layer, f"{name}_kernel").shape[0])
            for name in ("query", "value", "key")
        )
        copy.build(query, value, key)
        for name, part in PARTS.items():
            _copy_weights(getattr(copy, part), layer, name, to_keras=True)
    return copy


def _copy_weights(dense, layer, name, to_keras):
    kinds = ("kernel", "bias") if layer.use_bias else ("kernel",)
    for kind in kinds:
        theirs, ours = getattr(dense, kind), getattr(layer, f"{name}_{kind}")
        target, source = (theirs, ours) if to_keras else (ours, theirs)
        target.assign(source)


def _refuse_settings(layer, config):
    axes = config["attention_axes"]
    _refuse("attention_axes", None if axes is None else tuple(axes), None, (1,))
    for name, taken in (("sliding_window", None), ("use_gate", False)):
        _refuse(name, config.get(name, taken), taken)
    _refuse("activity_regularizer", config["activity_regularizer"], None)
    shape = config["output_shape"]
    if shape is not None:
        _refuse("output_shape", tuple(shape), (shape[0],))
    dense = [getattr(layer, part) for part in PARTS.values()] if layer.built else []
    for part in dense:
        _refuse("quantization_mode", part.quantization_mode, None)


def _refuse(name, value, *taken):
    if value not in taken:
        listed = " or ".join(repr(one) for one in taken)
        raise ValueError(
            f"`{name}` must be {listed} to exchange weights with Keras. "
            f"Received: {name}={value!r}. There is no such setting on the other side."
        )
