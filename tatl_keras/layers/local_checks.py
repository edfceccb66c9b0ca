"""Checks of the arguments and inputs of layers that work on maps."""

from tatl_keras.layers.checks import check_channels, check_count, check_dim


def check_map(name, shape, channels=None):
    """Returns `shape` as a tuple, or raises if it is no (B, H, W, C) with known channels."""
    shape = tuple(shape)
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"`{name}` must be a map of shape (B, H, W, C) with a known number of channels. "
            f"Received: {name}.shape={shape}. A sequence (B, T, C) has no rows and columns."
        )
    if channels is not None:
        check_channels(name, shape, channels)
    return shape


def check_head_dim(channels_name, channels, num_heads, halves=False):
    """Returns the channels of each head, or raises if there is no such number.

    With `halves` it must be even as well.
    """
    channels, num_heads = check_dim(channels_name, channels), check_count("num_heads", num_heads)
    if channels % num_heads:
        raise ValueError(
            f"`{channels_name}` must be a multiple of `num_heads`. Received: "
            f"{channels_name}={channels}, num_heads={num_heads}. Each head has an equal share."
        )
    if halves and channels // num_heads % 2:
        raise ValueError(
            f"`{channels_name}` must give each head an even number of channels. Received: "
            f"{channels_name}={channels}, num_heads={num_heads}, which makes "
            f"{channels // num_heads}. Half of them meet the row embeddings, half the columns'."
        )
    return channels // num_heads


def check_window(kernel_size):
    """Returns the side of a window with a centre as an int, or raises if it has none."""
    if isinstance(kernel_size, bool) or not isinstance(kernel_size, int) or kernel_size < 1:
        raise ValueError(
            "`kernel_size` must be an odd integer of at least 1. "
            f"Received: kernel_size={kernel_size!r}. It is the side of a square window."
        )
    if kernel_size % 2 == 0:
        raise ValueError(
            "`kernel_size` must be odd, so that a window has a centre. "
            f"Received: kernel_size={kernel_size}. Take {kernel_size - 1} or {kernel_size + 1}."
        )
    return kernel_size


def check_window_fits(kernel_size, shape):
    """Raises if a known side of the map (B, H, W, C) is shorter than the window's."""
    if any(size is not None and size < kernel_size for size in shape[1:3]):
        raise ValueError(
            "`kernel_size` must be at most the height and the width of the map. Received: "
            f"kernel_size={kernel_size}, inputs.shape={tuple(shape)}. Take a smaller window or a "
            "larger map."
        )


def check_scale(scale):
    """Returns the factor of the logits as it was given, or raises if it is not one."""
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
    if scale is not None and scale != "sqrt_dim" and not (number and scale > 0):
        raise ValueError(
            '`scale` must be None for no factor, "sqrt_dim" for 1 / sqrt(channels of a head), or '
            f"a number above 0. Received: scale={scale!r}. It multiplies the logits."
        )
    return scale
