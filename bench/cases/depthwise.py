"""Depthwise convolutions: those of MobileNetV2, and the same maps with a 5x5 kernel as later networks have them."""

from bench.cases.case import add, times
from bench.cases.convolutions import window_fields
from cnnengine.core.shapes import window_shape

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


def fill():
    for h, c, stride in _MOBILENET_V2:
        for r in (3, 5):
            _depthwise(1, h, c, r, stride, ["fwd"])
            _depthwise(8, h, c, r, stride, ["fwd", "bwd_data", "bwd_weights"])
