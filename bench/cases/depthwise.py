"""Depthwise convolutions: those of MobileNetV2, and the same maps with a 5x5 kernel as later networks have them.

And whole blocks of MobileNetV2, whose maps in between never exist as a whole.
"""

from bench.cases.case import NO_ACT, add, times
from bench.cases.convolutions import window_fields
from cnnengine.core.codes import UNARY
from cnnengine.core.shapes import window_shape
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.depthwise_block import DEPTHWISE_BLOCK_FWD

_RELU6 = {"act": UNARY["relu6"], "alpha": 0.0, "beta": 0.0}

#                h    c  stride
_MOBILENET_V2 = [
    (112, 32, 1),
    (112, 96, 2),
    (56, 144, 1),
    (56, 144, 2),
    (28, 192, 1),
    (28, 192, 2),
    (14, 384, 1),
    (14, 576, 1),
    (14, 576, 2),
    (7, 960, 1),
]


def _depthwise(n, h, c, r, stride, roles):
    pq, pads = window_shape((h, h), (r, r), (stride, stride), (1, 1), "same")
    x, w, y = (n, h, h, c), (r, r, c, 1), (n, *pq, c)
    buffers = {"fwd": ([x, w, (c,)], [y]), "bwd_data": ([y, w], [x]), "bwd_weights": ([x, y], [w])}
    label = f"MobileNetV2: {times(*x)}, {r}x{r}" + (f" /{stride}" if stride > 1 else "")
    for role in roles:
        op, (inputs, outputs) = f"depthwise2d_{role}", buffers[role]
        fields = window_fields(op, x, w, pq, (stride, stride, 1, 1, *pads))
        add(op, label, fields, inputs, outputs, target="depthwise")


#           h    c   wide  k   stride; no expansion where c and wide are one
_BLOCKS = [(112, 32, 32, 16, 1), (112, 16, 96, 24, 2), (56, 24, 144, 24, 1), (56, 24, 144, 32, 2), (28, 32, 192, 32, 1)]


def _block(n, h, c, wide, k, stride):
    pq, pads = window_shape((h, h), (3, 3), (stride, stride), (1, 1), "same")
    x, y = (n, h, h, c), (n, *pq, k)

    def pointwise(x, filters, act):
        window = {"window": (1, 1, 1, 1, 0, 0), "pq": x[1:3], "groups": 1}
        return window | {"x_shape": x, "w_shape": (1, 1, x[-1], filters)} | act

    weights = [(3, 3, wide, 1), (wide,), (1, 1, wide, k), (k,)]
    expand = [(1, 1, c, wide), (wide,)] if wide > c else [None, None]
    inputs = [x, *expand, *weights, y if stride == 1 and k == c else None]
    attrs = {
        "expand": pointwise(x, wide, _RELU6) if wide > c else None,
        "depthwise": {"window": (stride, stride, 1, 1, *pads), "pq": pq, **_RELU6},
        "project": pointwise((n, *pq, wide), k, NO_ACT),
    }
    fields = DEPTHWISE_BLOCK_FWD.fields([spec and TensorSpec(spec) for spec in inputs], [], attrs)
    label = f"MobileNetV2: {times(*x)}, {wide} wide, {k} filters" + (f" /{stride}" if stride > 1 else "")
    add(DEPTHWISE_BLOCK_FWD.name, label, fields, inputs, [y])


def fill():
    for h, c, stride in _MOBILENET_V2:
        for r in (3, 5):
            _depthwise(1, h, c, r, stride, ["fwd"])
            _depthwise(8, h, c, r, stride, ["fwd", "bwd_data", "bwd_weights"])
    for n in (1, 8):
        for block in _BLOCKS:
            _block(n, *block)
