"""Checks of what is particular to attention of several heads."""

import numbers

import keras
from keras import ops

from tatl_keras.layers.checks import (
    check_attention_mask,
    check_channels,
    check_dim,
    check_mask,
    check_sequence,
    shapes_agree,
)


def check_output_shape(value, use_output_projection):
    """Returns the output's channels as an int or None, or raises."""
    if value is None:
        return None
    if not use_output_projection:
        raise ValueError(
            "`output_shape` must be None where there is no output projection. "
            f"Received: output_shape={value!r}. The output then has num_heads * value_dim channels."
        )
    if isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    return check_dim("output_shape", value)


def check_layer(name, value, purpose):
    """Returns `value`, or the layer it describes, or raises if it is neither that nor None."""
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if value is not None and not isinstance(value, keras.layers.Layer):
        raise ValueError(f"`{name}` must be a layer or None. Received: {name}={value!r}. {purpose}")
    return value


def check_shapes(layer, query_shape, value_shape, key_shape=None):
    """Returns the three shapes as tuples, or raises if they do not fit each other and `layer`."""
    query_shape = check_sequence("query", query_shape, ranks=(3,))
    value_shape = check_sequence("value", value_shape, ranks=(3,))
    key_shape = check_sequence("key", key_shape or value_shape, ranks=(3,))
    if not shapes_agree(query_shape[:1], value_shape[:1]):
        raise ValueError(
            "`value` must have the batch size of `query`. "
            f"Received: query.shape={query_shape}, value.shape={value_shape}. "
            "Both are (B, length, channels)."
        )
    if not shapes_agree(key_shape[:2], value_shape[:2]):
        raise ValueError(
            "`key` must have the batch size and the length of `value`. "
            f"Received: key.shape={key_shape}, value.shape={value_shape}. "
            "Each position has one key and one value."
        )
    if layer.built:
        check_channels("query", query_shape, layer.query_kernel.shape[0])
        check_channels("value", value_shape, layer.value_kernel.shape[0])
        check_channels("key", key_shape, layer.key_kernel.shape[0])
    return query_shape, value_shape, key_shape


def check_call(
    layer, query, value, key, query_mask, value_mask, key_mask, attention_mask, causal, cache, index
):
    """Returns the four masks as they are to be used, or raises if the call cannot be done."""
    shapes = check_shapes(layer, query.shape, value.shape, key.shape)
    (batch, rows, _), (_, columns, _), _ = shapes
    if cache is not None or index is not None:
        columns = check_cache(layer, cache, index, (batch, columns), causal)
        # implicit masks are those of the update, not of the cache
        value_mask = None if value_mask is getattr(value, "_keras_mask", None) else value_mask
        key_mask = None if key_mask is getattr(key, "_keras_mask", None) else key_mask
    if query_mask is not None:
        query_mask = check_mask("query_mask", query_mask, (batch, rows))
    if value_mask is not None:
        value_mask = check_mask("value_mask", value_mask, (batch, columns))
    if key_mask is not None:
        key_mask = check_mask("key_mask", key_mask, (batch, columns))
    if attention_mask is not None:
        whole = (batch, layer.num_heads, rows, columns)
        attention_mask = check_attention_mask("attention_mask", attention_mask, whole)
    return query_mask, value_mask, key_mask, attention_mask


def check_cache(layer, cache, index, update, causal, name="cache"):
    """Returns the length of the cache, or raises if it cannot be used with `index`.

    `update` holds the batch size and the length of what is to be written; `name` is the argument's
    name, and that of the index without `_update_index`.
    """
    if cache is None:
        raise ValueError(
            f"`{name}_update_index` must be None where there is no cache. "
            f"Received: {name}_update_index={index!r}, {name}=None. Start with a cache of zeros."
        )
    if layer.value_dim != layer.key_dim:
        raise ValueError(
            f"`{name}` must be None where keys and values have different channels. "
            f"Received: key_dim={layer.key_dim}, value_dim={layer.value_dim}. "
            "It holds both in one tensor."
        )
    shape = tuple(cache.shape)
    whole = (update[0], 2, None, layer.num_heads, layer.key_dim)
    if not shapes_agree(shape, whole):
        raise ValueError(
            f"`{name}` must have shape {whole}, keys and values of every place. "
            f"Received: {name}.shape={shape}. The third size is the longest length to come."
        )
    if index is not None:
        _check_index(f"{name}_update_index", index, update[1], shape[2])
    elif causal or layer.position is not None:
        reason = "use_causal_mask=True" if causal else f"position={layer.position!r}"
        raise ValueError(
            f"`{name}_update_index` must be an integer with {reason}. "
            f"Received: {name}_update_index=None. It says where the queries stand."
        )
    return shape[2]


def _check_index(name, index, length, places):
    if isinstance(index, numbers.Integral) and not isinstance(index, bool):
        if index < 0 or (places is not None and index + (length or 0) > places):
            raise ValueError(
                f"`{name}` must leave room for the update in the cache. "
                f"Received: {name}={index}, {length} positions, {places} places. "
                "Make the cache as long as the sequence will become."
            )
        return
    dtype = keras.backend.standardize_dtype(index.dtype) if hasattr(index, "dtype") else ""
    if "int" not in dtype or len(index.shape) != 0:
        raise ValueError(
            f"`{name}` must be one integer. "
            f"Received: {name}={index!r}. All rows of a batch are at the same place."
        )


def both(first, second):
    """What both masks allow; None allows all."""
    if first is None or second is None:
        return second if first is None else first
    return ops.logical_and(ops.cast(first, "bool"), ops.cast(second, "bool"))
