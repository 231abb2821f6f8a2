"""Convolution with its two backward passes, dense over channels (conv2d) and one filter a channel (depthwise2d).

The transposed convolution is the backward pass for the data, with a bias: the gradient of each is the other.

Attributes of the records: `window` = (*strides, *dilation, *pads), one each a spatial axis, the output size `pq`, for
conv2d `groups` and the shapes of the convolution's input and kernel, `x_shape` and `w_shape`. Backward shapes come from
the forward operation's, never from a caller.

conv2d has one, two or three spatial axes, as its input has; to C it gives three, the first ones of length 1.
"""

from math import prod

from cnnengine.core.errors import ShapeError
from cnnengine.core.shapes import transposed_shape, window_shape
from cnnengine.core.spec import TensorSpec
from cnnengine.ops import conv_algorithm
from cnnengine.ops.base import along_samples, bind, register, spec_of, with_first
from cnnengine.ops.elementwise import as_float, checked_vector
from cnnengine.ops.matmul import NO_ACT
from cnnengine.ops.reduce import reduce_axes
from cnnengine.ops.view import reshape_to

_WINDOW = ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_t", "pad_l")


def _window_fields(attrs):
    return dict(zip(_WINDOW, attrs["window"])) | {"p": attrs["pq"][0], "q": attrs["pq"][1]}


def _algorithm(f, role):
    """How to compute the forward pass, or the backward pass for "data" or "weights", from the other fields."""
    strides = (f["stride_f"], f["stride_h"], f["stride_w"])
    dilation = (f["dilation_f"], f["dilation_h"], f["dilation_w"])
    kernel, pads = (f["r"], f["s"]), (f["pad_t"], f["pad_l"])
    if not conv_algorithm.applies(kernel, strides, dilation, f["groups"], f["c"], f["k"], pads):
        return conv_algorithm.DIRECT
    if role == "weights":
        return conv_algorithm.choose_for_weights(f["p"], f["q"])
    size = (f["h"], f["w"]) if role == "data" else (f["p"], f["q"])
    return conv_algorithm.choose(*size, f["t"] * f["c"], f["k"])


# Fields with one value a spatial axis, and what an axis that is not there has.
_AXES = {
    ("f", "h", "w"): 1,
    ("t", "r", "s"): 1,
    ("o", "p", "q"): 1,
    ("stride_f", "stride_h", "stride_w"): 1,
    ("dilation_f", "dilation_h", "dilation_w"): 1,
    ("pad_f", "pad_t", "pad_l"): 0,
}


def _spatial_fields(x_shape, w_shape, attrs):
    rank, window = len(attrs["pq"]), attrs["window"]
    values = (x_shape[1:-1], w_shape[:-2], attrs["pq"], window[:rank], window[rank : 2 * rank], window[2 * rank :])
    fields = {}
    for (names, absent), given in zip(_AXES.items(), values):
        fields |= zip(names, (absent,) * (3 - rank) + tuple(given))
    for taps, outputs, axis in (("t", "o", "f"), ("r", "p", "h"), ("s", "q", "w")):
        if fields[outputs] == 1:  # any stride does then, and C's backward pass has a class for each remainder
            reach = (fields[taps] - 1) * fields[f"dilation_{axis}"] + 1
            fields[f"stride_{axis}"] = min(fields[f"stride_{axis}"], reach)
    return fields


def is_pointwise(attrs):
    """Whether a convolution computes each pixel from the same pixel of its input alone, over all channels."""
    window, rank = attrs["window"], len(attrs["pq"])
    one_cell = prod(attrs["w_shape"][:-2]) == prod(window[:rank]) == 1 and not any(window[2 * rank :])
    return one_cell and attrs["groups"] == 1 and tuple(attrs["pq"]) == tuple(attrs["x_shape"][1:-1])


def _conv_fields(x_shape, w_shape, attrs, role):
    fields = {"n": x_shape[0], "c": x_shape[-1], "k": w_shape[-1], "groups": attrs["groups"]}
    fields |= _spatial_fields(x_shape, w_shape, attrs)
    if fields["t"] == fields["stride_f"] == 1 and fields["pad_f"] == 0 and fields["o"] == fields["f"]:
        fields |= {"n": fields["n"] * fields["f"], "f": 1, "o": 1}  # frames that do not meet are images
    fields |= {"packed": attrs.get("packed", 0), "algorithm": _algorithm(fields, role)}
    return fields | {key: attrs.get(key, default) for key, default in NO_ACT.items()}


def _fwd_infer(ins, attrs):
    return [TensorSpec((ins[0].shape[0], *attrs["pq"], attrs["w_shape"][-1]))]


def _window_attrs(node):
    return {key: node.attrs[key] for key in ("window", "pq", "groups", "x_shape", "w_shape")}


def _bias_gradient(bias, dy):
    return None if bias is None else reduce_axes("sum", dy, tuple(range(len(spec_of(dy).shape) - 1)))


def _fwd_gradient(node, dy):
    x, w, bias, _ = node.inputs
    attrs = _window_attrs(node)
    dx = bind(CONV2D_BWD_DATA, [dy, w, None, None], **attrs, **NO_ACT)
    dw = bind(CONV2D_BWD_WEIGHTS, [x, dy], **attrs)
    return [dx, dw, _bias_gradient(bias, dy), None]


def _bwd_data_gradient(node, ddx):
    dy, w, bias, _ = node.inputs
    attrs = _window_attrs(node)
    ddy = bind(CONV2D_FWD, [ddx, w, None, None], **attrs, **NO_ACT)
    dw = bind(CONV2D_BWD_WEIGHTS, [ddx, dy], **attrs)
    return [ddy, dw, _bias_gradient(bias, ddx), None]


def _flops(f):
    """The same for all passes: every pair of an output and a tap of its window meets once in each."""
    outputs = f["n"] * f["o"] * f["p"] * f["q"] * f["k"]
    return 2 * outputs * f["t"] * f["r"] * f["s"] * f["c"] // f["groups"]


def _register_pass(name, role, infer, gradient=None, **flags):
    def fields(ins, outs, attrs):
        return _conv_fields(attrs["x_shape"], attrs["w_shape"], attrs, role)

    return register(name, infer, fields, gradient, flops=_flops, **flags)


_BY_SAMPLE = along_samples(0, 3, change=with_first("x_shape"))

CONV2D_FWD = _register_pass("conv2d_fwd", "forward", _fwd_infer, _fwd_gradient, by_sample=_BY_SAMPLE)


def _into_fields(ins, outs, attrs):
    return _conv_fields(attrs["x_shape"], attrs["w_shape"], attrs, "forward") | {
        "y_c": attrs["y_c"],
        "y_at": attrs["at"],
    }


# A convolution as some of the channels of a wider y: inputs x, w, bias, base (see csrc/include/cnn/conv2d.h).
CONV2D_INTO = register(
    "conv2d_into",
    lambda ins, attrs: [TensorSpec((ins[0].shape[0], *attrs["pq"], attrs["y_c"]))],
    _into_fields,
    flops=_flops,
    in_place=3,
    part=lambda fields: fields["k"] / fields["y_c"],
    by_sample=_BY_SAMPLE,
)
CONV2D_BWD_DATA = _register_pass(
    "conv2d_bwd_data",
    "data",
    lambda ins, attrs: [TensorSpec(attrs["x_shape"])],
    _bwd_data_gradient,
    by_sample=_BY_SAMPLE,
)
CONV2D_BWD_WEIGHTS = _register_pass("conv2d_bwd_weights", "weights", lambda ins, attrs: [TensorSpec(attrs["w_shape"])])


def _register_pack(name):
    return register(name, lambda ins, attrs: [TensorSpec((attrs["size"],))], lambda ins, outs, attrs: attrs["fields"])


CONV2D_PACK = _register_pack("conv2d_pack")
CONV2D_BWD_DATA_PACK = _register_pack("conv2d_bwd_data_pack")


def _check_channels(x_shape, w_shape, groups, transposed=False):
    if len(x_shape) not in (3, 4, 5) or len(w_shape) != len(x_shape):
        raise ShapeError(
            f"Expected an input (batch, 1 to 3 spatial axes, channels) and a kernel of the same rank. "
            f"Received: input shape {x_shape}, kernel shape {w_shape}"
        )
    if 0 in x_shape[1:] or 0 in w_shape:
        raise ShapeError(f"Only the batch may be empty. Received: input shape {x_shape}, kernel shape {w_shape}")
    c, (per_group, k) = x_shape[-1], reversed(w_shape[-2:]) if transposed else w_shape[-2:]
    if c % groups or k % groups:
        raise ShapeError(
            f"Channels and filters must be divisible by groups={groups}. Received: C={c}, K={k}, input shape {x_shape}"
        )
    if per_group * groups != c:
        raise ShapeError(
            f"The kernel takes {per_group} channels in each of {groups} group(s). "
            f"Expected C={per_group * groups}. Received: C={c}, input shape {x_shape}"
        )


def _all_axes(value, shape):
    """A tuple for the spatial axes of a shape, from such a tuple or one number for all."""
    return value if isinstance(value, tuple) else (value,) * (len(shape) - 2)


def conv2d(x, w, bias=None, strides=1, padding="valid", dilation=1, groups=1):
    """y[n,p,q,k] = bias[k] + sum over r,s,c of x[n, p*sh + r*dh - pad, q*sw + s*dw - pad, c] w[r,s,c,k].

    Args:
        x: (n, h, w, c), or with one or three spatial axes.  w: (r, s, c / groups, k).  bias: (k,) or None.
        strides, dilation: int or one a spatial axis.
        padding: "valid", "same", "causal" or a pair (before, after) for all axes.

    Returns:
        y (n, p, q, k). Groups of one channel each run, but in three dimensions, as a depthwise convolution.

    Raises:
        ShapeError: channels, groups or window do not fit.
    """
    x, w = as_float(x), as_float(w)
    x_shape, w_shape = spec_of(x).shape, spec_of(w).shape
    _check_channels(x_shape, w_shape, groups)
    bias = checked_vector(bias, w_shape[-1], "bias")
    strides, dilation = _all_axes(strides, x_shape), _all_axes(dilation, x_shape)
    if groups > 1 and w_shape[-2] == 1 and len(x_shape) < 5:
        w = reshape_to(w, (*w_shape[:-2], groups, w_shape[-1] // groups))
        return depthwise(x, w, bias, strides, padding, dilation)
    pq, pads = window_shape(x_shape[1:-1], w_shape[:-2], strides, dilation, padding, "kernel")
    attrs = {"window": (*strides, *dilation, *pads), "pq": pq, "groups": groups, "x_shape": x_shape, "w_shape": w_shape}
    return bind(CONV2D_FWD, [x, w, bias, None], **attrs, **NO_ACT)


def conv2d_transpose(x, w, bias=None, strides=1, padding="valid", output_padding=None, dilation=1):
    """y[n,p,q,k] = bias[k] + sum over i,j,r,s,c with i*sh + r*dh - pad = p and so on of x[n,i,j,c] w[r,s,k,c].

    That is the transpose of a convolution from y's shape to x's (Dumoulin & Visin 2016, A guide to convolution
    arithmetic for deep learning).

    Args:
        x: (n, h, w, c), or with one or three spatial axes.  w: (r, s, k, c).  bias: (k,) or None.
        strides, dilation: int or one a spatial axis.
        padding: "valid" or "same".
        output_padding: None or one int a spatial axis; see core.shapes.transposed_output.

    Returns:
        y (n, p, q, k).

    Raises:
        ShapeError: channels do not fit, or nothing is left of the output.
    """
    x, w = as_float(x), as_float(w)
    x_shape, w_shape = spec_of(x).shape, spec_of(w).shape
    _check_channels(x_shape, w_shape, 1, transposed=True)
    bias = checked_vector(bias, w_shape[-2], "bias")
    strides, dilation = _all_axes(strides, x_shape), _all_axes(dilation, x_shape)
    spatial, pads = transposed_shape(x_shape[1:-1], w_shape[:-2], strides, dilation, padding, output_padding)
    attrs = {"window": (*strides, *dilation, *pads), "pq": x_shape[1:-1], "groups": 1}
    attrs |= {"x_shape": (x_shape[0], *spatial, w_shape[-2]), "w_shape": w_shape}
    return bind(CONV2D_BWD_DATA, [x, w, bias, None], **attrs, **NO_ACT)


# --- depthwise --------------------------------------------------------------------------------------------------


def _depthwise_fields(x_shape, w_shape, attrs):
    n, h, w, c = x_shape
    r, s, _, m = w_shape
    fields = {"n": n, "h": h, "w": w, "c": c, "m": m, "r": r, "s": s} | _window_fields(attrs)
    return fields | {key: attrs.get(key, default) for key, default in NO_ACT.items()}


def _depthwise_gradient(node, dy):
    x, w, bias = node.inputs
    attrs = {"window": node.attrs["window"], "pq": node.attrs["pq"]}
    attrs |= {"x_shape": spec_of(x).shape, "w_shape": spec_of(w).shape}
    dbias = None if bias is None else reduce_axes("sum", dy, (0, 1, 2))
    return [bind(DEPTHWISE_BWD_DATA, [dy, w], **attrs), bind(DEPTHWISE_BWD_WEIGHTS, [x, dy], **attrs), dbias]


def _depthwise_flops(f):
    return 2 * f["n"] * f["p"] * f["q"] * f["c"] * f["m"] * f["r"] * f["s"]


def _depthwise_backward_fields(ins, outs, attrs):
    return _depthwise_fields(attrs["x_shape"], attrs["w_shape"], attrs)


DEPTHWISE_FWD = register(
    "depthwise2d_fwd",
    lambda ins, attrs: [TensorSpec((ins[0].shape[0], *attrs["pq"], prod(ins[1].shape[2:])))],
    lambda ins, outs, attrs: _depthwise_fields(ins[0].shape, ins[1].shape, attrs),
    _depthwise_gradient,
    flops=_depthwise_flops,
    by_sample=along_samples(0),
)
DEPTHWISE_BWD_DATA = register(
    "depthwise2d_bwd_data",
    lambda ins, attrs: [TensorSpec(attrs["x_shape"])],
    _depthwise_backward_fields,
    flops=_depthwise_flops,
)
DEPTHWISE_BWD_WEIGHTS = register(
    "depthwise2d_bwd_weights",
    lambda ins, attrs: [TensorSpec(attrs["w_shape"])],
    _depthwise_backward_fields,
    flops=_depthwise_flops,
)


def depthwise2d(x, w, bias=None, strides=(1, 1), padding="valid", dilation=(1, 1)):
    """y[n,p,q,c*m+j] = bias + sum over r,s of x[n, p*sh + r*dh - pad, ..., c] w[r,s,c,j]: each channel on its own.

    Args:
        x: (n, h, w, c).  w: (r, s, c, m).  bias: (c * m,) or None.

    Raises:
        ShapeError: channels or window do not fit.
    """
    x, w = as_float(x), as_float(w)
    x_shape, w_shape = spec_of(x).shape, spec_of(w).shape
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ShapeError(
            f"Expected an input (batch, height, width, channels) and a kernel (r, s, channels, multiplier). "
            f"Received: input shape {x_shape}, kernel shape {w_shape}"
        )
    filters = w_shape[2] * w_shape[3]
    _check_channels(x_shape, (*w_shape[:2], 1, filters), w_shape[2])
    bias = checked_vector(bias, filters, "bias")
    pq, pads = window_shape(x_shape[1:3], w_shape[:2], strides, dilation, padding, "kernel")
    return bind(DEPTHWISE_FWD, [x, w, bias], window=(*strides, *dilation, *pads), pq=pq, **NO_ACT)


def depthwise(x, w, bias, strides, padding, dilation):
    """depthwise2d in one dimension, with x (n, w, c) and w (s, c, m), or in two."""
    x, w = as_float(x), as_float(w)
    x_shape, w_shape = spec_of(x).shape, spec_of(w).shape
    if len(x_shape) != 3 or len(w_shape) != 3:
        return depthwise2d(x, w, bias, strides, padding, dilation)
    x, w = reshape_to(x, (x_shape[0], 1, *x_shape[1:])), reshape_to(w, (1, *w_shape))
    y = depthwise2d(x, w, bias, (1, *strides), padding, (1, *dilation))
    return reshape_to(y, (x_shape[0], *spec_of(y).shape[2:]))
