"""The rest of a network, all of it bound by memory: pooling, normalisation, elementwise, softmax, updates."""

import numpy as np

from bench.cases.case import F32, I32, NO_ACT, U8, add, integers, positive, times
from cnnengine.core.codes import BINARY, DTYPE, REDUCE, UNARY
from cnnengine.core.needs import READS_X, READS_Y
from cnnengine.core.shapes import window_shape
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import OPS

#         network       n   h    c  r stride
_POOL = [("ResNet-50", 16, 112, 64, 3, 2), ("MNIST CNN", 512, 28, 32, 2, 2), ("ResNet-50", 128, 7, 2048, 7, 7)]


def _pool():
    for network, n, h, c, r, stride in _POOL:
        (p, _), pads = window_shape((h, h), (r, r), (stride, stride), (1, 1), "same")
        x, y, label = (n, h, h, c), (n, p, p, c), f"{network}: {times(n, h, h, c)}, {r}x{r} /{stride}"
        attrs = {"size": (r, r), "pq": (p, p), "strides": (stride, stride), "pads": pads}
        f = OPS["max_pool2d_fwd"].fields([TensorSpec(x)], [], attrs)
        add("avg_pool2d_fwd", label, f, [x], [y], target="pool")
        add("avg_pool2d_bwd", label, f, [y], [x], target="pool")
        if r < h:
            centre = r // 2 * r + r // 2
            add("max_pool2d_fwd", label, f, [x], [y, (y, U8)], target="pool")
            index = lambda rng, y=y, tap=centre: np.full(y, tap, U8)  # noqa: E731
            add("max_pool2d_bwd", label, f, [y, index], [x], target="pool")


_ROWS, _CHANNELS = 16 * 56 * 56, 256  # ResNet-50's largest activations behind the first stage, batch 16
_COUNT = _ROWS * _CHANNELS
_ACTIVATIONS = f"ResNet-50: {times(16, 56, 56, 256)}"


def _batch_norm():
    rows, c = _ROWS, _CHANNELS
    f = {"rows": rows, "c": c, "training": 1, "epsilon": 1e-3, **NO_ACT}
    x, each = (rows, c), (c,)
    add("batch_norm_stats", _ACTIVATIONS, f, [x], [each, each], target="norm")
    relu = f | {"act": UNARY["relu"]}
    add("batch_norm_fwd", _ACTIVATIONS, f, [x, each, positive(c), each, each, None], [x], target="norm")
    add(
        "batch_norm_fwd",
        f"{_ACTIVATIONS} + addend, relu",
        relu,
        [x, each, positive(c), each, each, x],
        [x],
        target="norm",
    )
    given, passes = [x, x, each, positive(c), each], {"twice": (0, 1), "target": "norm"}
    add("batch_norm_bwd", _ACTIVATIONS, f, [*given, None], [x, each, each], **passes)
    add("batch_norm_bwd", f"{_ACTIVATIONS}, relu", relu, [*given, each], [x, each, each], **passes)


def _own_norms():
    n, pixels, c = 16, 56 * 56, 256
    f, label = {"n": n, "pixels": pixels, "c": c, "groups": 32, "epsilon": 1e-3}, f"{_ACTIVATIONS}, 32 groups"
    x, moments = (n, pixels, c), (n, 32)
    add("group_norm_fwd", label, f, [x, (c,), (c,)], [x, moments, moments], target="norm")
    add("group_norm_bwd", label, f, [x, x, moments, positive(moments), (c,)], [x, (c,), (c,)], target="norm")
    rows, c = 64 * 197, 768
    f, x, label = {"rows": rows, "c": c, "epsilon": 1e-3}, (rows, c), f"ViT-B: {times(64, 197, c)}"
    add("layer_norm_fwd", label, f, [x, (c,), (c,)], [x, (rows,), (rows,)], target="norm")
    add("layer_norm_bwd", label, f, [x, x, (rows,), positive(rows), (c,)], [x, (c,), (c,)], target="norm")


def _elementwise():
    flat, count = (_COUNT,), _COUNT
    for name, alpha in (
        ("relu", 0.0),
        ("leaky_relu", 0.2),
        ("sigmoid", 0.0),
        ("tanh", 0.0),
        ("gelu", 0.0),
        ("exp", 0.0),
    ):
        fields = {"count": count, "func": UNARY[name], "alpha": alpha, "beta": 0.0}
        add("unary_fwd", f"{name} {_ACTIVATIONS}", fields, [flat], [flat], target="elementwise")
        reads = [flat if name in READS_X else None, flat if name in READS_Y else None]
        add("unary_bwd", f"{name} {_ACTIVATIONS}", fields, [*reads, flat], [flat], target="elementwise")
    dims, step = (_ROWS, _CHANNELS), (_CHANNELS, 1)
    same = {"func": BINARY["add"], "ndim": 2, "dims": dims, "stride_a": step, "stride_b": step}
    add("binary", f"add {_ACTIVATIONS}", same, [dims, dims], [dims], target="elementwise")
    bias = same | {"stride_b": (0, 1)}
    add("binary", f"add {_ACTIVATIONS} + channels", bias, [dims, (_CHANNELS,)], [dims], target="elementwise")
    add("select", _ACTIVATIONS, {"count": count}, [flat, flat, flat], [flat])
    add("fill", _ACTIVATIONS, {"count": count, "value": 1.0}, [], [flat])
    fields = {"ndim": 2, "dims": dims, "stride_a": (0, 1)}
    add("broadcast", f"channels to {_ACTIVATIONS}", fields, [(_CHANNELS,)], [dims])
    pictures = 64 * 224 * 224 * 3
    fields = {"count": pictures, "from": DTYPE["uint8"], "to": DTYPE["float32"]}
    add("cast", "pictures: 64x224x224x3 uint8", fields, [lambda rng: rng.integers(0, 256, pictures, U8)], [(pictures,)])


def _reductions():
    for name, shape in (
        ("channels of", (1, _ROWS, _CHANNELS)),
        ("rows of", (_ROWS, _CHANNELS, 1)),
        ("all of", (1, _COUNT, 1)),
    ):
        fields = dict(zip(("outer", "red", "inner"), shape, strict=True), func=REDUCE["sum"], scale=1.0)
        add("reduce", f"sum, {name} {_ACTIVATIONS}", fields, [shape], [(shape[0], shape[2])])
    fields = {"outer": 4096, "red": 1000, "inner": 1, "func": 0, "scale": 1.0}
    add("argmax", "ImageNet: 4096x1000", fields, [(4096, 1000, 1)], [((4096, 1), I32)])


def _softmax():
    for name, rows, cols in (("ImageNet", 16384, 1000), ("MNIST", 1 << 20, 10)):
        f, x, label = {"rows": rows, "cols": cols, "sparse": 0}, (rows, cols), f"{name}: {times(rows, cols)}"
        for op in ("softmax", "log_softmax"):
            add(f"{op}_fwd", label, f, [x], [x], target="softmax")
            add(f"{op}_bwd", label, f, [x, x], [x], target="softmax")
        sparse = f | {"sparse": 1}
        add("softmax_xent_fwd", label, sparse, [x, integers(rows, cols)], [(rows,), x], target="softmax")
        add("softmax_xent_bwd", label, sparse, [x, integers(rows, cols), (rows,)], [x], target="softmax")


def _layout():
    n, h, c = 16, 56, 256
    fields = {"ndim": 4, "dims": (n, c, h, h), "stride": (h * h * c, 1, h * c, c)}
    add("transpose", f"{_ACTIVATIONS} to channels first", fields, [(n, h, h, c)], [(n, c, h, h)])
    padded, before = (n, h + 2, h + 2, c), (0, 1, 1, 0)
    fields = {"ndim": 4, "dims": (n, h, h, c), "before": before, "after": before, "value": 0.0}
    add("pad", f"{_ACTIVATIONS} by 1", fields, [(n, h, h, c)], [padded])
    fields = {"ndim": 4, "dims": padded, "start": before, "step": (1, 1, 1, 1), "out": (n, h, h, c)}
    add("slice", f"{_ACTIVATIONS}, border off", fields, [padded], [(n, h, h, c)])
    add("unslice", f"{_ACTIVATIONS}, border on", fields, [(n, h, h, c)], [padded])
    fields = {"count": 2, "outer": n * h * h, "sizes": (c // 2, c // 2)}
    add("concat", f"two halves of {_ACTIVATIONS}", fields, [[(n * h * h, c // 2)] * 2], [(n * h * h, c)])
    rows, cols, count = 30000, 256, 50000
    f, label = {"rows": rows, "cols": cols, "count": count}, f"table {times(rows, cols)}, {count} rows"
    add("gather", label, f, [(rows, cols), integers(count, rows)], [(count, cols)])
    add("scatter_add", label, f, [(count, cols), integers(count, rows)], [(rows, cols)])
    f = {"rows": 0, "cols": 1000, "count": 4096}
    add("one_hot", "ImageNet: 4096x1000", f, [integers(4096, 1000)], [(4096, 1000)])


def _random():
    state = integers(4, 1000)
    add("random_uniform", _ACTIVATIONS, {"count": _COUNT, "low": -1.0, "high": 1.0}, [state], [(_COUNT,)])
    fields = {"count": _COUNT, "rate": 0.25, "scale": 1 / 0.75}
    add("dropout", _ACTIVATIONS, fields, [(_COUNT,), state], [(_COUNT,)])
    add("random_next", "one stream", {"count": 0, "low": 0.0, "high": 0.0}, [], [((4,), I32)])


_SLOTS = {"sgd_update": 1, "momentum_update": 2, "adam_update": 3, "rmsprop_update": 3, "ema_update": 1}
_SLOTS |= {"assign": 1, "assign_add": 1}


def _updates():
    count, fields = 25_557_032, {"nesterov": 0, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "rho": 0.9}
    fields |= {"count": count, "epsilon": 1e-7}
    for op, slots in _SLOTS.items():
        rate = [lambda rng: np.array([1e-9], F32)] if op.endswith("_update") and op != "ema_update" else []
        add(op, f"ResNet-50: {count:,} weights", fields, [(count,), *rate], [(count,)] * slots, target="update")


def fill():
    for family in (_pool, _batch_norm, _own_norms, _elementwise, _reductions, _softmax, _layout, _random, _updates):
        family()
