"""Convolutions: forward with weights packed beforehand (inference) or in the call (training), both backward passes."""

from bench.cases.case import add, times
from cnnengine import _native as native
from cnnengine.core.shapes import window_shape
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import OPS

PACKS = {"conv2d_fwd": "conv2d_pack", "conv2d_into": "conv2d_pack", "conv2d_bwd_data": "conv2d_bwd_data_pack"}
FORWARD, DATA, WEIGHTS, INTO = "conv2d_fwd", "conv2d_bwd_data", "conv2d_bwd_weights", "conv2d_into"

# Rows below: network, n, h, c, k, r, stride; h is the size of the larger map, the kernel r x r.
_INFERENCE = {
    "stem": [("ResNet-50", 1, 224, 3, 64, 7, 2), ("MobileNetV2", 1, 224, 3, 32, 3, 2)],
    None: [
        ("ResNet-50", 1, 56, 64, 256, 1, 1),
        ("ResNet-50", 1, 56, 256, 512, 1, 2),
        ("ResNet-50", 1, 7, 512, 512, 3, 1),
    ],
    "direct": [
        ("ResNet-50", 1, 56, 128, 128, 3, 2),
        ("ResNet-50", 1, 28, 256, 256, 3, 2),
        ("ResNet-50", 1, 14, 512, 512, 3, 2),
        ("YOLO", 1, 112, 64, 64, 3, 2),
        ("5x5", 1, 56, 64, 64, 5, 1),
        ("5x5", 1, 28, 64, 96, 5, 1),
        ("5x5", 1, 14, 128, 128, 5, 1),
        ("5x5", 1, 7, 256, 256, 5, 1),
        ("Inception-v3", 1, 17, 128, 192, (1, 7), 1),
        ("Inception-v3", 1, 17, 192, 192, (7, 1), 1),
        ("DeepLab", 1, 28, 256, 256, 3, 1, 2),
        ("DeepLab", 1, 56, 64, 64, 3, 1, 4),
    ],
}
# 3x3 of stride 1: forward in inference, and backward for the data.
_WINOGRAD = {
    "winograd 64": [("ResNet-50", 1, 56, 64, 64, 3, 1)],
    "winograd 128": [("ResNet-50", 1, 28, 128, 128, 3, 1)],
    "winograd 256": [("ResNet-50", 1, 14, 256, 256, 3, 1)],
    "winograd batch": [("ResNet-50", 8, 28, 128, 128, 3, 1), ("ResNet-50", 8, 14, 256, 256, 3, 1)],
    "winograd small": [("ResNet-20", 32, 32, 16, 16, 3, 1), ("ResNet-20", 32, 16, 32, 32, 3, 1)],
}
_TRAINING = [
    ("ResNet-50", 4, 224, 3, 64, 7, 2),
    ("ResNet-50", 4, 56, 64, 256, 1, 1),
    ("ResNet-50", 4, 14, 256, 256, 3, 1),
    ("MNIST CNN", 128, 28, 1, 32, 3, 1),
    ("MNIST CNN", 128, 14, 32, 64, 3, 1),
    ("ResNet-20", 32, 32, 16, 16, 3, 1),
]
_BACKWARD = {
    (DATA, "data strided"): [
        ("ResNet-50", 8, 56, 128, 128, 3, 2),
        ("ResNet-50", 8, 28, 256, 256, 3, 2),
        ("ResNet-50", 8, 14, 512, 512, 3, 2),
    ],
    (DATA, None): [("ResNet-50", 4, 56, 64, 256, 1, 1), ("ResNet-50", 8, 56, 256, 512, 1, 2)],
    (WEIGHTS, "weights direct"): [
        ("ResNet-50", 8, 56, 64, 256, 1, 1),
        ("ResNet-50", 8, 14, 1024, 256, 1, 1),
        ("ResNet-50", 8, 56, 256, 512, 1, 2),
        ("ResNet-50", 8, 56, 128, 128, 3, 2),
        ("ResNet-50", 8, 14, 512, 512, 3, 2),
        ("5x5", 8, 28, 64, 96, 5, 1),
    ],
    (WEIGHTS, "weights winograd"): [
        ("ResNet-50", 8, 56, 64, 64, 3, 1),
        ("ResNet-50", 8, 28, 128, 128, 3, 1),
        ("ResNet-50", 8, 14, 256, 256, 3, 1),
    ],
}
_GROUPED = [
    (1, 56, 128, 128, 3, 1),
    (1, 56, 256, 256, 3, 2),
    (1, 28, 256, 256, 3, 1),
    (1, 14, 512, 512, 3, 1),
    (1, 7, 1024, 1024, 3, 1),
]

# Into a concatenation of two such results.
_INTO = [("SqueezeNet", 1, 55, 16, 64, 1, 1), ("SqueezeNet", 1, 55, 16, 64, 3, 1), ("SqueezeNet", 1, 13, 64, 256, 3, 1)]

# Transposed convolutions and, beside each, the convolution that it is the transpose of: the same multiplications.
_TRANSPOSED = [
    ("U-Net", 1, 64, 128, 256, 2, 2),
    ("U-Net", 1, 128, 64, 128, 2, 2),
    ("DCGAN", 16, 16, 128, 256, 4, 2),
    ("DCGAN", 16, 64, 3, 64, 4, 2),
    ("autoencoder", 16, 28, 32, 64, 3, 2),
    ("autoencoder", 16, 28, 32, 64, 3, 1),
]
# Convolutions of volumes and, beside each, one in two dimensions with as many multiplications.
#    network           n  f   h   c    k   t  r  stride, and of the one beside: n  h  c  k  r  stride
_VOLUMES = [
    ("C3D", (1, 16, 56, 64, 128, 3, 3, 1), (16, 56, 192, 128, 3, 1)),
    ("C3D", (1, 8, 28, 128, 256, 3, 3, 1), (8, 28, 384, 256, 3, 1)),
    ("C3D", (1, 2, 7, 512, 512, 3, 3, 1), (2, 7, 1536, 512, 3, 1)),
    ("3-D ResNet-18", (1, 16, 56, 64, 128, 3, 3, 2), (8, 56, 192, 128, 3, 2)),
    ("R(2+1)D", (1, 8, 28, 144, 128, 3, 1, 1), (8, 28, 432, 128, 1, 1)),
    ("3-D U-Net", (1, 32, 32, 32, 32, 3, 3, 1), (32, 32, 96, 32, 3, 1)),
]
# Sequences, which run as pictures of one row, and a picture with the same kernel and as many pixels.
_SEQUENCES = [("WaveNet", (16, (1, 1024), 64, 128, (1, 3)), (16, (32, 32), 64, 128, (1, 3)))]


def _pair(size):
    return size if isinstance(size, tuple) else (size, size)


def _conv_label(network, n, h, c, k, r, stride=1, dilation=1, groups=1):
    label = f"{network}: {times(n, *_pair(h), c)} * {times(*_pair(r), c // groups, k)}"
    return label + (f" /{stride}" if stride > 1 else "") + (f" dilated {dilation}" if dilation > 1 else "")


def _packs(op):
    """The operation that packs the weights of `op` beforehand, if there is one."""
    return PACKS[op] if PACKS.get(op) in native.OPS else None


def window_fields(op, x, w, pq, window, groups=1, packed=0):
    """The descriptor as the operation's record fills it, algorithm and all."""
    attrs = {"x_shape": x, "w_shape": w, "pq": pq, "window": window, "groups": groups, "packed": packed}
    return OPS[op].fields([TensorSpec(x), TensorSpec(w)], [], attrs)


def _add(op, label, x, w, pq, window, groups, packed, **more):
    y = (x[0], *pq, w[-1])
    inputs, output = {FORWARD: ([x, w, w[-1:]], y), DATA: ([y, w], x), WEIGHTS: ([x, y], w)}[op]
    inputs += [None] * (len(native.OPS[op].inputs) - len(inputs))
    pack = _packs(op) if packed else None
    fields = window_fields(op, x, w, pq, window, groups, int(pack is not None))
    add(op, label, fields, inputs, [output], pack=pack, **more)


def _case(op, network, *sizes, packed=0, suffix="", groups=1, **more):
    n, h, c, k, r, *rest = sizes
    stride, dilation = (*rest, 1, 1)[:2]
    hw, rs, strides, dilations = _pair(h), _pair(r), (stride,) * 2, (dilation,) * 2
    pq, pads = window_shape(hw, rs, strides, dilations, "same")
    label = _conv_label(network, n, h, c, k, r, stride, dilation, groups) + suffix
    window = (*strides, *dilations, *pads)
    _add(op, label, (n, *hw, c), (*rs, c // groups, k), pq, window, groups, packed, **more)
    return label


def _into(network, n, h, c, k, r, stride):
    """Beside the same convolution alone; the other half of the channels is there already."""
    plain = _case(FORWARD, network, n, h, c, k, r, stride, packed=1, suffix=" alone")
    x, w, y = (n, h, h, c), (r, r, c, k), (n, h, h, 2 * k)
    attrs = {"x_shape": x, "w_shape": w, "pq": (h, h), "window": (1, 1, 1, 1, r // 2, r // 2), "groups": 1}
    fields = OPS[INTO].fields([], [], attrs | {"packed": 1, "y_c": 2 * k, "at": k})
    label = _conv_label(network, n, h, c, k, r) + " into half of the channels"
    add(INTO, label, fields, [x, w, (k,), None], [y], pack=PACKS[INTO], beside=f"{FORWARD} {plain}")


def _volume(op, network, sizes, packed=0, **more):
    n, f, h, c, k, t, r, stride = sizes
    x, w = (n, f, h, h, c), (t, r, r, c, k)
    pq, pads = window_shape(x[1:-1], w[:-2], (stride,) * 3, (1,) * 3, "same")
    label = f"{network}: {times(*x)} * {times(*w)}" + (f" /{stride}" if stride > 1 else "")
    _add(op, label, x, w, pq, (*(stride,) * 3, 1, 1, 1, *pads), 1, packed, **more)


def _training(network, *sizes):
    _case(FORWARD, network, *sizes, suffix=" training")
    _case(WEIGHTS, network, *sizes, suffix=" training")
    if sizes[2] > 3:  # no network asks for the gradient of its pictures
        _case(DATA, network, *sizes, suffix=" training")


def _kin():
    """Relatives of the plain convolution, and plain ones to compare with."""
    if _packs(DATA):
        for network, *sizes in _TRANSPOSED:
            plain = _case(FORWARD, network, *sizes, packed=1, suffix=" plain")
            _case(DATA, network, *sizes, packed=1, suffix=" transposed", target="kin", beside=f"{FORWARD} {plain}")
    for network, line, flat in _SEQUENCES:
        plain = _case(FORWARD, network, *flat, packed=1, suffix=" beside 1-D")
        _case(FORWARD, network, *line, packed=1, target="kin", beside=f"{FORWARD} {plain}")
    if "stride_f" in dict(native.OPS[FORWARD].fields):
        for network, volume, flat in _VOLUMES:
            plain = _case(FORWARD, network, *flat, packed=1, suffix=" beside 3-D")
            _volume(FORWARD, network, volume, packed=1, target="kin", beside=f"{FORWARD} {plain}")
            _volume(DATA, network, volume)
            _volume(WEIGHTS, network, volume)


def fill():
    for target, rows in _INFERENCE.items():
        for network, *sizes in rows:
            _case(FORWARD, network, *sizes, packed=1, target=target)
    for target, rows in _WINOGRAD.items():
        for network, *sizes in rows:
            for op in (FORWARD, DATA):
                _case(op, network, *sizes, packed=1, target=target)
    deep = ("ResNet-50", 1, 7, 512, 512, 3, 1)
    _case(FORWARD, *deep, packed=1, suffix=" streamed", target="winograd streamed", sets=4)
    for row in _TRAINING:
        _training(*row)
    for (op, target), rows in _BACKWARD.items():
        for network, *sizes in rows:
            _case(op, network, *sizes, target=target)
    for sizes in _GROUPED:
        for op in (FORWARD, DATA, WEIGHTS):
            _case(op, "ResNeXt-50", *sizes, packed=int(op == FORWARD), groups=32, target="grouped")
    for row in _INTO:
        _into(*row)
    _kin()
    w = (3, 3, 512, 512)
    for op in (FORWARD, DATA):
        if _packs(op):
            fields = window_fields(op, (1, 7, 7, 512), w, (7, 7), (1, 1, 1, 1, 1, 1), packed=1)
            add(PACKS[op], f"ResNet-50: {times(*w)}", fields, [w], [w])
