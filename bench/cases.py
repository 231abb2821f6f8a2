"""What is measured: every operation on shapes of real networks, with what each costs.

`CASES[op]` is a list of BenchCase. Convolutions are those of ResNet-50 at 224 x 224, of CIFAR-10's ResNet-20, of
MobileNetV2 and of the MNIST network; other operations run on a batch of ResNet-50's largest activations.
"""

import zlib
from dataclasses import dataclass
from math import prod

import numpy as np

from cnnengine.core.codes import BINARY, DTYPE, REDUCE, UNARY
from cnnengine.core.needs import READS_X, READS_Y
from cnnengine.core.shapes import window_shape
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import OPS

F32, I32, U8 = np.float32, np.int32, np.uint8
DRAWN = 1 << 20  # random numbers of an array at most, then the same ones again: drawing takes longer than measuring
NO_ACT = {"act": 0, "alpha": 0.0, "beta": 0.0}


@dataclass(frozen=True)
class BenchCase:
    """One call of an operation to measure.

    `inputs` are shapes (drawn from a normal distribution), functions of a generator, None for an absent input, a list
    for a list of inputs; `outputs` are (shape, dtype). `flops` is 0 where moving data is all the work. `pack` names the
    operation that packs the second input beforehand, as a program for inference does; None: it is taken as it is.
    """

    name: str
    fields: dict
    inputs: list
    outputs: list
    flops: int = 0
    pack: str | None = None


CASES: dict[str, list[BenchCase]] = {}


def arrays(case):
    """The inputs of a case as arrays, and outputs filled with ones."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))

    def value(spec):
        if isinstance(spec, list):
            return tuple(value(one) for one in spec)
        if callable(spec):
            return spec(rng)
        return None if spec is None else np.resize(rng.standard_normal(min(prod(spec), DRAWN), F32), spec)

    return [value(spec) for spec in case.inputs], [np.ones(shape, dtype) for shape, dtype in case.outputs]


def _add(op, name, fields, inputs, outputs, flops=0, pack=None):
    outputs = [(spec, F32) if isinstance(spec[-1], int) else spec for spec in outputs]
    CASES.setdefault(op, []).append(BenchCase(name, fields, inputs, outputs, flops, pack))


def _ints(shape, high):
    return lambda rng: rng.integers(0, high, shape, I32)


def _positive(shape):
    return lambda rng: rng.random(shape, F32) + F32(0.5)


def _times(*sizes):
    return "x".join(map(str, sizes))


# --- products -------------------------------------------------------------------------------------

#         network          batch  m    n     k  ta tb  packed
_MATMUL = [
    ("MLP batch 128", 1, 128, 512, 784, 0, 0, 1),
    ("MLP batch 1", 1, 1, 512, 784, 0, 0, 1),
    ("MLP dx", 1, 128, 784, 512, 0, 1, 0),
    ("MLP dw", 1, 784, 512, 128, 1, 0, 0),
    ("VGG-16 fc batch 1", 1, 1, 4096, 4096, 0, 0, 1),
    ("square", 1, 1024, 1024, 1024, 0, 0, 0),
    ("attention", 12, 197, 197, 64, 0, 1, 0),
]


def _matmul():
    for name, batch, m, n, k, ta, tb, packed in _MATMUL:
        sizes = {"batch": batch, "m": m, "n": n, "k": k, "ta": ta, "tb": tb}
        fields = sizes | {"b_batched": int(batch > 1), "packed": packed, **NO_ACT}
        a = (batch, k, m) if ta else (batch, m, k)
        b = ((batch,) if batch > 1 else ()) + ((n, k) if tb else (k, n))
        label = f"{name}: {_times(*([batch] if batch > 1 else []), m, k)} @ {_times(k, n)}"
        flops = 2 * batch * m * n * k
        pack = "matmul_pack" if packed else None
        _add("matmul_fwd", label, fields, [a, b, None, None], [(batch, m, n)], flops, pack)
    fields = {"batch": 1, "m": 1, "n": 4096, "k": 4096, "ta": 0, "tb": 0, "b_batched": 0, "packed": 1, **NO_ACT}
    _add("matmul_pack", "VGG-16 fc: 4096x4096", fields, [(4096, 4096)], [(4096, 4096)])


#         network        n    h    c     k  r  stride
_CONV = [
    ("ResNet-50", 1, 224, 3, 64, 7, 2),
    ("ResNet-50", 1, 56, 64, 64, 1, 1),
    ("ResNet-50", 1, 56, 64, 256, 1, 1),
    ("ResNet-50", 1, 56, 256, 512, 1, 2),
    ("ResNet-50", 1, 14, 1024, 256, 1, 1),
    ("ResNet-50", 1, 7, 512, 2048, 1, 1),
    ("ResNet-50", 1, 56, 64, 64, 3, 1),
    ("ResNet-50", 1, 28, 128, 128, 3, 1),
    ("ResNet-50", 1, 14, 256, 256, 3, 1),
    ("ResNet-50", 1, 7, 512, 512, 3, 1),
    ("ResNet-50", 1, 56, 128, 128, 3, 2),
    ("ResNet-20", 32, 32, 16, 16, 3, 1),
]
_CONV_TRAINING = [
    ("ResNet-50", 4, 224, 3, 64, 7, 2),
    ("ResNet-50", 4, 56, 64, 256, 1, 1),
    ("ResNet-50", 4, 56, 256, 512, 1, 2),
    ("ResNet-50", 4, 56, 64, 64, 3, 1),
    ("ResNet-50", 4, 14, 256, 256, 3, 1),
    ("ResNet-50", 4, 56, 128, 128, 3, 2),
    ("MNIST CNN", 128, 28, 1, 32, 3, 1),
    ("MNIST CNN", 128, 14, 32, 64, 3, 1),
    ("ResNet-20", 32, 32, 16, 16, 3, 1),
]


_CONV_PACKS = {"conv2d_fwd": "conv2d_pack", "conv2d_bwd_data": "conv2d_bwd_data_pack"}

# Transposed convolutions and, beside each, the convolution that it is the transpose of: the same multiplications.
#         network         n   h    c     k  r  stride; h and c are those of the larger map
_CONV_TRANSPOSE = [
    ("U-Net", 1, 64, 128, 256, 2, 2),
    ("U-Net", 1, 128, 64, 128, 2, 2),
    ("DCGAN", 16, 16, 128, 256, 4, 2),
    ("DCGAN", 16, 64, 3, 64, 4, 2),
    ("autoencoder", 16, 28, 32, 64, 3, 2),
    ("autoencoder", 16, 28, 32, 64, 3, 1),
]


# Convolutions of volumes and, beside each, one in two dimensions with as many multiplications.
#         network           n  f   h   c    k   t  r  stride, and of the one beside: n  h  c  k  r  stride
_CONV_3D = [
    ("C3D", (1, 16, 56, 64, 128, 3, 3, 1), (16, 56, 192, 128, 3, 1)),
    ("C3D", (1, 8, 28, 128, 256, 3, 3, 1), (8, 28, 384, 256, 3, 1)),
    ("C3D", (1, 2, 7, 512, 512, 3, 3, 1), (2, 7, 1536, 512, 3, 1)),
    ("3-D ResNet-18", (1, 16, 56, 64, 128, 3, 3, 2), (8, 56, 192, 128, 3, 2)),
    ("R(2+1)D", (1, 8, 28, 144, 128, 3, 1, 1), (8, 28, 432, 128, 1, 1)),
    ("3-D U-Net", (1, 32, 32, 32, 32, 3, 3, 1), (32, 32, 96, 32, 3, 1)),
]


def _window(h, r, stride):
    """Output size of a square window with "same" padding, and the padding before."""
    (p, _), pads = window_shape((h, h), (r, r), (stride, stride), (1, 1), "same")
    return p, pads


def _window_fields(op, x, w, p, pads, stride, packed=0):
    """The descriptor as the operation's record fills it, algorithm and all."""
    attrs = {"x_shape": x, "w_shape": w, "pq": (p, p), "window": (stride, stride, 1, 1, *pads)}
    attrs |= {"groups": 1, "packed": packed}
    return OPS[op].fields([TensorSpec(x), TensorSpec(w)], [], attrs)


def _conv_label(network, n, h, c, k, r, stride):
    return f"{network}: {_times(n, h, h, c)} * {_times(r, r, c, k)}" + (f" /{stride}" if stride > 1 else "")


def _conv():
    for network, *sizes in _CONV:
        _conv_case("conv2d_fwd", _conv_label(network, *sizes), *sizes, packed=1)
    for network, *sizes in _CONV_TRAINING:
        label, channels = _conv_label(network, *sizes), sizes[2]
        _conv_case("conv2d_fwd", f"{label} training", *sizes)
        if channels > 3:  # no network asks for the gradient of its pictures
            _conv_case("conv2d_bwd_data", label, *sizes)
        _conv_case("conv2d_bwd_weights", label, *sizes)
    for network, *sizes in _CONV_TRANSPOSE:
        for op, what in (("conv2d_bwd_data", "transposed"), ("conv2d_fwd", "plain")):
            _conv_case(op, f"{_conv_label(network, *sizes)} {what}", *sizes, packed=1)
    for network, volume, flat in _CONV_3D:
        _volume_case(f"{network}: ", *volume)
        _conv_case("conv2d_fwd", f"{_conv_label(network, *flat)} beside 3-D", *flat, packed=1)
    w = (3, 3, 512, 512)
    for op, pack in _CONV_PACKS.items():
        fields = _window_fields(op, (1, 7, 7, 512), w, 7, (1, 1), 1, packed=1)
        _add(pack, f"ResNet-50: {_times(*w)}", fields, [w], [w])


def _conv_case(op, label, n, h, c, k, r, stride, packed=0):
    p, pads = _window(h, r, stride)
    x, w, y = (n, h, h, c), (r, r, c, k), (n, p, p, k)
    buffers = {
        "conv2d_fwd": ([x, w, (k,), None], [y]),
        "conv2d_bwd_data": ([y, w, (c,) if packed else None, None], [x]),
        "conv2d_bwd_weights": ([x, y], [w]),
    }
    fields = _window_fields(op, x, w, p, pads, stride, packed)
    _add(op, label, fields, *buffers[op], 2 * prod(y) * r * r * c, _CONV_PACKS[op] if packed else None)


def _volume_case(label, n, f, h, c, k, t, r, stride):
    (o, p, _), pads = window_shape((f, h, h), (t, r, r), (stride,) * 3, (1,) * 3, "same")
    x, w, y = (n, f, h, h, c), (t, r, r, c, k), (n, o, p, p, k)
    attrs = {"x_shape": x, "w_shape": w, "pq": (o, p, p), "window": (*(stride,) * 3, 1, 1, 1, *pads), "groups": 1}
    label += f"{_times(*x)} * {_times(*w)}" + (f" /{stride}" if stride > 1 else "")
    flops = 2 * prod(y) * t * r * r * c
    buffers = {
        "conv2d_fwd": ([x, w, (k,), None], [y]),
        "conv2d_bwd_data": ([y, w, None, None], [x]),
        "conv2d_bwd_weights": ([x, y], [w]),
    }
    for op, (inputs, outputs) in buffers.items():
        pack = _CONV_PACKS.get(op)
        fields = OPS[op].fields([], [], attrs | {"packed": int(pack is not None)})
        _add(op, label, fields, inputs, outputs, flops, pack)


#         network        n   h    c  r stride
_DEPTHWISE = [("MobileNetV2", 8, 112, 32, 3, 1), ("MobileNetV2", 8, 56, 144, 3, 2), ("MobileNetV2", 8, 14, 576, 3, 1)]


def _depthwise():
    for network, n, h, c, r, stride in _DEPTHWISE:
        p, pads = _window(h, r, stride)
        x, w, y = (n, h, h, c), (r, r, c, 1), (n, p, p, c)
        flops, label = 2 * prod(y) * r * r, f"{network}: {_times(*x)}, {r}x{r}" + (f" /{stride}" if stride > 1 else "")
        buffers = {"fwd": ([x, w, (c,)], [y]), "bwd_data": ([y, w], [x]), "bwd_weights": ([x, y], [w])}
        for role, (inputs, outputs) in buffers.items():
            fields = _window_fields(f"depthwise2d_{role}", x, w, p, pads, stride)
            _add(f"depthwise2d_{role}", label, fields, inputs, outputs, flops)


# --- the rest of a network ------------------------------------------------------------------------

#         network       n   h    c  r stride
_POOL = [("ResNet-50", 16, 112, 64, 3, 2), ("MNIST CNN", 128, 28, 32, 2, 2), ("ResNet-50", 16, 7, 2048, 7, 7)]


def _pool():
    for network, n, h, c, r, stride in _POOL:
        p, pads = _window(h, r, stride)
        x, y, label = (n, h, h, c), (n, p, p, c), f"{network}: {_times(n, h, h, c)}, {r}x{r} /{stride}"
        attrs = {"size": (r, r), "pq": (p, p), "strides": (stride, stride), "pads": pads}
        f = OPS["max_pool2d_fwd"].fields([TensorSpec(x)], [], attrs)
        _add("avg_pool2d_fwd", label, f, [x], [y])
        _add("avg_pool2d_bwd", label, f, [y], [x])
        if r < h:
            centre = r // 2 * r + r // 2
            _add("max_pool2d_fwd", label, f, [x], [y, (y, U8)])
            _add("max_pool2d_bwd", label, f, [y, lambda rng, y=y, tap=centre: np.full(y, tap, U8)], [x])


_ROWS, _CHANNELS = 16 * 56 * 56, 256  # ResNet-50's largest activations behind the first stage, batch 16
_COUNT = _ROWS * _CHANNELS
_ACTIVATIONS = f"ResNet-50: {_times(16, 56, 56, 256)}"


def _batch_norm():
    rows, c = _ROWS, _CHANNELS
    f = {"rows": rows, "c": c, "training": 1, "epsilon": 1e-3, **NO_ACT}
    x, each = (rows, c), (c,)
    _add("batch_norm_stats", _ACTIVATIONS, f, [x], [each, each])
    relu = f | {"act": UNARY["relu"]}
    _add("batch_norm_fwd", _ACTIVATIONS, f, [x, each, _positive(c), each, each, None], [x])
    _add("batch_norm_fwd", f"{_ACTIVATIONS} + addend, relu", relu, [x, each, _positive(c), each, each, x], [x])
    _add("batch_norm_bwd", _ACTIVATIONS, f, [x, x, each, _positive(c), each], [x, each, each])


def _own_norms():
    n, pixels, c = 16, 56 * 56, 256
    f = {"n": n, "pixels": pixels, "c": c, "groups": 32, "epsilon": 1e-3}
    x, moments = (n, pixels, c), (n, 32)
    _add("group_norm_fwd", f"{_ACTIVATIONS}, 32 groups", f, [x, (c,), (c,)], [x, moments, moments])
    inputs = [x, x, moments, _positive(moments), (c,)]
    _add("group_norm_bwd", f"{_ACTIVATIONS}, 32 groups", f, inputs, [x, (c,), (c,)])
    rows, c = 64 * 197, 768
    f, x, label = {"rows": rows, "c": c, "epsilon": 1e-3}, (rows, c), f"ViT-B: {_times(64, 197, c)}"
    _add("layer_norm_fwd", label, f, [x, (c,), (c,)], [x, (rows,), (rows,)])
    _add("layer_norm_bwd", label, f, [x, x, (rows,), _positive(rows), (c,)], [x, (c,), (c,)])


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
        _add("unary_fwd", f"{name} {_ACTIVATIONS}", fields, [flat], [flat])
        reads = [flat if name in READS_X else None, flat if name in READS_Y else None]
        _add("unary_bwd", f"{name} {_ACTIVATIONS}", fields, [*reads, flat], [flat])
    dims, step = (_ROWS, _CHANNELS), (_CHANNELS, 1)
    same = {"func": BINARY["add"], "ndim": 2, "dims": dims, "stride_a": step, "stride_b": step}
    _add("binary", f"add {_ACTIVATIONS}", same, [dims, dims], [dims])
    bias = same | {"stride_b": (0, 1)}
    _add("binary", f"add {_ACTIVATIONS} + channels", bias, [dims, (_CHANNELS,)], [dims])
    _add("select", _ACTIVATIONS, {"count": count}, [flat, flat, flat], [flat])
    _add("fill", _ACTIVATIONS, {"count": count, "value": 1.0}, [], [flat])
    fields = {"ndim": 2, "dims": dims, "stride_a": (0, 1)}
    _add("broadcast", f"channels to {_ACTIVATIONS}", fields, [(_CHANNELS,)], [dims])
    pictures = 64 * 224 * 224 * 3
    fields = {"count": pictures, "from": DTYPE["uint8"], "to": DTYPE["float32"]}
    _add(
        "cast", "pictures: 64x224x224x3 uint8", fields, [lambda rng: rng.integers(0, 256, pictures, U8)], [(pictures,)]
    )


def _reductions():
    for name, shape in (
        ("channels of", (1, _ROWS, _CHANNELS)),
        ("rows of", (_ROWS, _CHANNELS, 1)),
        ("all of", (1, _COUNT, 1)),
    ):
        fields = dict(zip(("outer", "red", "inner"), shape, strict=True), func=REDUCE["sum"], scale=1.0)
        _add("reduce", f"sum, {name} {_ACTIVATIONS}", fields, [shape], [(shape[0], shape[2])])
    fields = {"outer": 4096, "red": 1000, "inner": 1, "func": 0, "scale": 1.0}
    _add("argmax", "ImageNet: 4096x1000", fields, [(4096, 1000, 1)], [((4096, 1), I32)])


def _softmax():
    for name, rows, cols in (("ImageNet", 4096, 1000), ("MNIST", 10000, 10)):
        f, x, label = {"rows": rows, "cols": cols, "sparse": 0}, (rows, cols), f"{name}: {_times(rows, cols)}"
        for op in ("softmax", "log_softmax"):
            _add(f"{op}_fwd", label, f, [x], [x])
            _add(f"{op}_bwd", label, f, [x, x], [x])
        sparse = f | {"sparse": 1}
        _add("softmax_xent_fwd", label, sparse, [x, _ints(rows, cols)], [(rows,), x])
        _add("softmax_xent_bwd", label, sparse, [x, _ints(rows, cols), (rows,)], [x])


def _layout():
    n, h, c = 16, 56, 256
    fields = {"ndim": 4, "dims": (n, c, h, h), "stride": (h * h * c, 1, h * c, c)}
    _add("transpose", f"{_ACTIVATIONS} to channels first", fields, [(n, h, h, c)], [(n, c, h, h)])
    padded, before = (n, h + 2, h + 2, c), (0, 1, 1, 0)
    fields = {"ndim": 4, "dims": (n, h, h, c), "before": before, "after": before, "value": 0.0}
    _add("pad", f"{_ACTIVATIONS} by 1", fields, [(n, h, h, c)], [padded])
    fields = {"ndim": 4, "dims": padded, "start": before, "step": (1, 1, 1, 1), "out": (n, h, h, c)}
    _add("slice", f"{_ACTIVATIONS}, border off", fields, [padded], [(n, h, h, c)])
    _add("unslice", f"{_ACTIVATIONS}, border on", fields, [(n, h, h, c)], [padded])
    fields = {"count": 2, "outer": n * h * h, "sizes": (c // 2, c // 2)}
    _add("concat", f"two halves of {_ACTIVATIONS}", fields, [[(n * h * h, c // 2)] * 2], [(n * h * h, c)])
    rows, cols, count = 30000, 256, 50000
    f, label = {"rows": rows, "cols": cols, "count": count}, f"table {_times(rows, cols)}, {count} rows"
    _add("gather", label, f, [(rows, cols), _ints(count, rows)], [(count, cols)])
    _add("scatter_add", label, f, [(count, cols), _ints(count, rows)], [(rows, cols)])
    f = {"rows": 0, "cols": 1000, "count": 4096}
    _add("one_hot", "ImageNet: 4096x1000", f, [_ints(4096, 1000)], [(4096, 1000)])


def _random():
    state = _ints(4, 1000)
    _add("random_uniform", _ACTIVATIONS, {"count": _COUNT, "low": -1.0, "high": 1.0}, [state], [(_COUNT,)])
    fields = {"count": _COUNT, "rate": 0.25, "scale": 1 / 0.75}
    _add("dropout", _ACTIVATIONS, fields, [(_COUNT,), state], [(_COUNT,)])
    _add("random_next", "one stream", {"count": 0, "low": 0.0, "high": 0.0}, [], [((4,), I32)])


_SLOTS = {"sgd_update": 1, "momentum_update": 2, "adam_update": 3, "rmsprop_update": 3, "ema_update": 1}
_SLOTS |= {"assign": 1, "assign_add": 1}


def _updates():
    count, fields = 25_557_032, {"nesterov": 0, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "rho": 0.9}
    fields |= {"count": count, "epsilon": 1e-7}
    for op, slots in _SLOTS.items():
        rate = [lambda rng: np.array([1e-9], F32)] if op.endswith("_update") and op != "ema_update" else []
        _add(op, f"ResNet-50: {count:,} weights", fields, [(count,), *rate], [(count,)] * slots)


for _family in (
    _matmul,
    _conv,
    _depthwise,
    _pool,
    _batch_norm,
    _own_norms,
    _elementwise,
    _reductions,
    _softmax,
    _layout,
    _random,
    _updates,
):
    _family()
