"""The same operations in PyTorch: `PEERS[op](d, *inputs)` makes a function without arguments from a case.

d is the descriptor and the inputs are NumPy arrays. Tensors of pictures are channels_last views of the arrays, which is
the layout oneDNN is fastest with. Where a program for inference has packed its weights, PyTorch gets them reordered
beforehand too. Padding that differs on both sides becomes the symmetric one with as many outputs: the work is the same.
What writes into a given array here is given one there (`out=`) where the operation has that.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from cnnengine.core.codes import BINARY, UNARY

aten = torch.ops.aten
_UNARY = {code: name for name, code in UNARY.items()}


def call(op, d, inputs, threads):
    """A function that runs the case in PyTorch on so many threads, or None where PyTorch has no such operation."""
    torch.set_num_threads(threads)
    made = PEERS[op](d, *inputs) if op in PEERS else None
    if made is None:
        return None

    def run():
        with torch.inference_mode():
            made()

    return run


def has(op, d):
    """Whether PyTorch has an operation like it; the gradient of an activation is one of its own there."""
    if op == "batch_norm_bwd" and d.act:
        return False
    return op in PEERS and (op not in ("unary_fwd", "unary_bwd") or _UNARY[d.func] in _FUNCTIONS)


def _tensor(x):
    return None if x is None else torch.from_numpy(np.ascontiguousarray(x))


def _picture(x):
    """Channels behind the batch in shape, last in memory."""
    return torch.movedim(_tensor(x), -1, 1)


def _filters(w, depthwise):
    """(r, s, c, k) as PyTorch's (k, c, r, s), channels last in memory; depthwise (r, s, c, m) as (c m, 1, r, s)."""
    w = _tensor(w)
    w = w.reshape(*w.shape[:-2], 1, -1) if depthwise else w
    last = torch.channels_last if w.ndim == 4 else torch.channels_last_3d
    return w.movedim((-1, -2), (0, 1)).contiguous(memory_format=last)


def _axes(d):
    """Names of the fields of the spatial axes: two, or three where the input has frames."""
    height, width = ("h", "r", "p", "pad_t"), ("w", "s", "q", "pad_l")
    return [("f", "t", "o", "pad_f")] * (getattr(d, "f", 1) > 1) + [height, width]


def _strides(d):
    return [getattr(d, f"stride_{axis[0]}") for axis in _axes(d)]


def _window(d):
    """Stride, padding and dilation for PyTorch."""
    strides, dilations, pads = _strides(d), [], []
    for (size, taps, outputs, _), stride in zip(_axes(d), strides):
        dilation = getattr(d, f"dilation_{size}", 1)
        seen = (getattr(d, outputs) - 1) * stride + dilation * (getattr(d, taps) - 1) + 1
        dilations.append(dilation)
        pads.append(max(0, (seen - getattr(d, size) + 1) // 2))
    return strides, pads, dilations


def _shape(d, names, channels):
    return (d.n, *(getattr(d, axis[names]) for axis in _axes(d)), channels)


# --- products and convolutions --------------------------------------------------------------------


def _matmul(d, a, b, *_):
    a, b = _tensor(a), _tensor(b)
    a, b = a.mT if d.ta else a, b.mT if d.tb else b
    return partial(torch.matmul, a, b, out=torch.empty(*a.shape[:-1], b.shape[-1]))


def _convolution(groups_of, d, x, w, bias, *_):
    groups = groups_of(d)
    x, w, bias = _picture(x), _filters(w, groups_of is _depthwise), _tensor(bias)
    strides, pads, dilations = _window(d)
    if x.ndim == 4 and getattr(d, "packed", groups == d.c):
        w = torch.ops.mkldnn._reorder_convolution_weight(w, pads, strides, dilations, groups, list(x.shape))
        args = (x, w, bias, pads, strides, dilations, groups, "none", [], "")
        return partial(torch.ops.mkldnn._convolution_pointwise, *args)
    return partial(torch.convolution, x, w, bias, strides, pads, dilations, False, [0] * (x.ndim - 2), groups)


def _gradient(groups_of, mask, d, dy, x, w):
    groups = groups_of(d)
    window = (*_window(d), False, [0] * (dy.ndim - 2), groups)
    return partial(
        aten.convolution_backward, _picture(dy), _picture(x), _filters(w, groups_of is _depthwise), None, *window, mask
    )


def _data(groups_of, d, dy, w, *_):
    return _gradient(groups_of, [True, False, False], d, dy, np.ones(_shape(d, 0, d.c), np.float32), w)


def _weights(groups_of, d, x, dy):
    w = (*(getattr(d, axis[1]) for axis in _axes(d)), x.shape[-1] // groups_of(d), dy.shape[-1])
    return _gradient(groups_of, [False, True, False], d, dy, x, np.ones(w, np.float32))


# --- the rest of a network ------------------------------------------------------------------------


def _pool_window(d):
    strides, pads, _ = _window(d)
    return [d.r, d.s], strides, pads


def _max_pool(d, x):
    size, strides, pads = _pool_window(d)
    return partial(aten.max_pool2d_with_indices, _picture(x), size, strides, pads)


def _max_pool_backward(d, dy, _):
    x = _picture(np.ones(_shape(d, 0, d.c), np.float32))
    size, strides, pads = _pool_window(d)
    index = aten.max_pool2d_with_indices(x, size, strides, pads)[1]
    return partial(aten.max_pool2d_with_indices_backward, _picture(dy), x, size, strides, pads, [1, 1], False, index)


def _avg_pool(d, x):
    return partial(aten.avg_pool2d, _picture(x), *_pool_window(d), False, False)


def _avg_pool_backward(d, dy):
    x = _picture(np.ones(_shape(d, 0, d.c), np.float32))
    return partial(aten.avg_pool2d_backward, _picture(dy), x, *_pool_window(d), False, False, None)


def _rows(x):
    """(rows, c) as a picture of one column."""
    return _picture(x[None, :, None, :])


def _norm_stats(d, x):
    return partial(aten.batch_norm_update_stats, _rows(x), None, None, 0.1)


def _norm(d, x, mean, var, gamma, beta, addend):
    x, addend, relu = _rows(x), None if addend is None else _rows(addend), d.act == UNARY["relu"]
    args = (_tensor(gamma), _tensor(beta), _tensor(mean), _tensor(var), False, 0.1, d.epsilon)

    def run():
        y = aten.native_batch_norm(x, *args)[0]
        y = y if addend is None else y.add_(addend)
        return y.relu_() if relu else y

    return run


def _norm_backward(d, x, dy, mean, var, gamma, beta):
    saved = _tensor(mean), 1 / torch.sqrt(_tensor(var) + d.epsilon)
    x, dy, gamma, mask = _rows(x), _rows(dy), _tensor(gamma), [True, True, True]
    return partial(aten.native_batch_norm_backward, dy, x, gamma, None, None, *saved, True, d.epsilon, mask)


# Each forward and backward; g is the gradient, v what the derivative reads: x or y.
_FUNCTIONS = {
    "relu": (
        lambda d, x, out: torch.clamp_min(x, 0, out=out),
        lambda d, v, g, out: aten.threshold_backward.grad_input(g, v, 0, grad_input=out),
    ),
    "leaky_relu": (
        lambda d, x, out: aten.leaky_relu.out(x, d.alpha, out=out),
        lambda d, v, g, out: aten.leaky_relu_backward.grad_input(g, v, d.alpha, False, grad_input=out),
    ),
    "sigmoid": (
        lambda d, x, out: torch.sigmoid(x, out=out),
        lambda d, v, g, out: aten.sigmoid_backward.grad_input(g, v, grad_input=out),
    ),
    "tanh": (
        lambda d, x, out: torch.tanh(x, out=out),
        lambda d, v, g, out: aten.tanh_backward.grad_input(g, v, grad_input=out),
    ),
    "gelu": (
        lambda d, x, out: aten.gelu.out(x, out=out),
        lambda d, v, g, out: aten.gelu_backward.grad_input(g, v, grad_input=out),
    ),
    "exp": (lambda d, x, out: torch.exp(x, out=out), lambda d, v, g, out: torch.mul(g, v, out=out)),
}


def _unary(d, x):
    x = _tensor(x)
    return partial(_FUNCTIONS[_UNARY[d.func]][0], d, x, out=torch.ones_like(x))


def _unary_backward(d, x, y, g):
    g = _tensor(g)
    return partial(_FUNCTIONS[_UNARY[d.func]][1], d, _tensor(y if x is None else x), g, out=torch.ones_like(g))


def _binary(d, a, b):
    a, b = _tensor(a), _tensor(b)
    return partial(torch.add, a, b, out=torch.ones_like(a)) if d.func == BINARY["add"] else None


def _softmax(function, d, x):
    x = _tensor(x)
    return partial(function, x, 1, False, out=torch.ones_like(x))


def _softmax_backward(function, d, y, dy):
    return partial(function, _tensor(dy), _tensor(y), 1, torch.float32)


def _xent(d, x, t):
    return partial(F.cross_entropy, _tensor(x), _tensor(t).long(), reduction="none")


def _adam(d, g, rate, w, m, v):
    lists = [[_tensor(one)] for one in (w, g, m, v)]
    settings = {"lr": 1e-9, "beta1": d.beta1, "beta2": d.beta2, "weight_decay": 0.0, "eps": d.epsilon}
    flags = {"amsgrad": False, "maximize": False}
    return partial(torch._fused_adam_, *lists, [], [torch.ones(())], **settings, **flags)


def _sgd(d, g, rate, w, *momentum):
    lists = [[_tensor(one)] for one in (w, g, *momentum)] + [[]] * (not momentum)
    settings = {"lr": 1e-9, "weight_decay": 0.0, "momentum": d.momentum if momentum else 0.0, "dampening": 0.0}
    flags = {"nesterov": bool(d.nesterov), "maximize": False, "is_first_step": False}
    return partial(torch._fused_sgd_, *lists, **settings, **flags)


def _in_place(name, d, x, v, *more):
    return partial(getattr(_tensor(v), name), _tensor(x), *more)


def _dense(d):
    return d.groups


def _depthwise(d):
    return d.c


PEERS = {
    "matmul_fwd": _matmul,
    "conv2d_fwd": partial(_convolution, _dense),
    "conv2d_bwd_data": partial(_data, _dense),
    "conv2d_bwd_weights": partial(_weights, _dense),
    "depthwise2d_fwd": partial(_convolution, _depthwise),
    "depthwise2d_bwd_data": partial(_data, _depthwise),
    "depthwise2d_bwd_weights": partial(_weights, _depthwise),
    "max_pool2d_fwd": _max_pool,
    "max_pool2d_bwd": _max_pool_backward,
    "avg_pool2d_fwd": _avg_pool,
    "avg_pool2d_bwd": _avg_pool_backward,
    "batch_norm_stats": _norm_stats,
    "batch_norm_fwd": _norm,
    "batch_norm_bwd": _norm_backward,
    "unary_fwd": _unary,
    "unary_bwd": _unary_backward,
    "binary": _binary,
    "softmax_fwd": partial(_softmax, aten._softmax.out),
    "softmax_bwd": partial(_softmax_backward, aten._softmax_backward_data),
    "log_softmax_fwd": partial(_softmax, aten._log_softmax.out),
    "log_softmax_bwd": partial(_softmax_backward, aten._log_softmax_backward_data),
    "softmax_xent_fwd": _xent,
    "adam_update": _adam,
    "sgd_update": _sgd,
    "momentum_update": _sgd,
    "assign": partial(_in_place, "copy_"),
    "assign_add": partial(_in_place, "add_"),
}
