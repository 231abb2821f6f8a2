"""Arithmetic of convolution and pooling windows, once for operations and layers.

Rules are Keras's (and TensorFlow's): "valid" makes floor((in - k_eff) / stride) + 1 outputs, "same" ceil(in / stride)
with the odd cell of padding at the end, "causal" (1-D) puts all padding in front. k_eff = (k - 1) * dilation + 1.
"""

from cnnengine.core.errors import ConfigError, ShapeError


def int_tuple(value, rank, name, minimum=1):
    """`rank` ints of at least `minimum` from an int or a sequence. Raises ConfigError."""
    values = (value,) * rank if _is_int(value) else value
    if isinstance(values, (tuple, list)) and len(values) == rank and all(_is_int(v) and v >= minimum for v in values):
        return tuple(int(v) for v in values)
    raise ConfigError(
        f"{name} must be an int or a tuple of {rank} ints, each at least {minimum} and below 2**31. Received: {value!r}"
    )


def _is_int(value):
    return not isinstance(value, bool) and hasattr(value, "__index__") and value < 2**31


def window_output(size, kernel, stride, dilation, padding):
    """Outputs along one axis and the padding before it: (out, before, after).

    Args:
        size: cells along the axis, or None when it is open (then out is None).
        padding: "valid", "same", "causal" or a pair of ints (before, after).

    Raises:
        ConfigError: unknown padding.
    """
    reach = (kernel - 1) * dilation + 1
    if isinstance(padding, tuple):
        before, after = padding
    elif padding == "valid":
        before = after = 0
    elif padding == "causal":
        before, after = reach - 1, 0
    elif padding == "same":
        if size is None:
            return None, None, None
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before, after = total // 2, total - total // 2
    else:
        raise ConfigError(f"padding must be 'valid' or 'same' (or 'causal' in 1-D). Received: {padding!r}")
    if size is None:
        return None, before, after
    return (size + before + after - reach) // stride + 1, before, after


def window_shape(spatial, kernel, strides, dilation, padding, what="window"):
    """Output sizes of all axes and the padding before each.

    Returns:
        (outputs, befores): tuples; an open axis (None) gives None.

    Raises:
        ShapeError: when the window does not fit into the input.
    """
    outs, befores = [], []
    for size, k, s, d in zip(spatial, kernel, strides, dilation):
        out, before, _ = window_output(size, k, s, d, padding)
        if out is not None and out < 1:
            raise ShapeError(
                f"The {what} of {tuple(kernel)} (dilation {tuple(dilation)}) does not fit into the input with "
                f"padding={padding!r}: expected at least {(k - 1) * d + 1} cells along each axis. "
                f"Received: spatial shape {tuple(spatial)}"
            )
        outs.append(out)
        befores.append(before)
    return tuple(outs), tuple(befores)


def transposed_output(size, kernel, stride, dilation, padding, output_padding=None):
    """Outputs of a transposed convolution along one axis and the padding before them: (out, before).

    With k_eff = (kernel - 1) * dilation + 1 and n cells "valid" makes (n - 1) * stride + k_eff + output_padding
    outputs, "same" (n - 1) * stride + k_eff % 2 + output_padding, of which up to k_eff - 1 are cut off before. Without
    output_padding they make (n - 1) * stride + max(k_eff, stride) and n * stride.

    Args:
        size: cells along the axis, or None when it is open (then out is None).

    Raises:
        ConfigError: unknown padding.
    """
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        extra = max(stride - reach, 0) if output_padding is None else output_padding
        total, before = reach + extra, 0
    elif padding == "same":
        total = stride if output_padding is None else reach % 2 + output_padding
        before = max(reach - 1 - -(-(total + reach - 2) // 2), 0)
    else:
        raise ConfigError(f"padding must be 'valid' or 'same'. Received: {padding!r}")
    return None if size is None else (size - 1) * stride + total, before


def transposed_shape(spatial, kernel, strides, dilation, padding, output_padding=None):
    """Output sizes of a transposed convolution and the padding before each; an open axis (None) gives None.

    Args:
        output_padding: None or one int an axis.

    Raises:
        ShapeError: when nothing is left of an axis.
    """
    extras = (None,) * len(kernel) if output_padding is None else output_padding
    axes = zip(spatial, kernel, strides, dilation, extras)
    outs, befores = zip(*(transposed_output(size, k, s, d, padding, extra) for size, k, s, d, extra in axes))
    if any(out is not None and out < 1 for out in outs):
        raise ShapeError(
            f"A transposed convolution with padding={padding!r}, output_padding={output_padding} must leave a cell of "
            f"each axis. Received: spatial shape {tuple(spatial)}, kernel {tuple(kernel)}, strides {tuple(strides)}"
        )
    return outs, befores
