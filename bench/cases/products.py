"""Matrix products: dense layers, attention, and 1x1 convolutions, which are products of pixels and weights."""

from bench.cases.case import NO_ACT, add, times

#         network          batch  m    n     k  ta tb  packed
_MATMUL = [
    ("MLP batch 128", 1, 128, 512, 784, 0, 0, 1),
    ("MLP batch 1", 1, 1, 512, 784, 0, 0, 1),
    ("MLP dx", 1, 128, 784, 512, 0, 1, 0),
    ("MLP dw", 1, 784, 512, 128, 1, 0, 0),
    ("attention", 12, 197, 197, 64, 0, 1, 0),
]
_SQUARE = (256, 512, 1024, 2048)

# 1x1 convolutions at batch 1: size of the map, channels, filters.
_RESNET_50 = [
    (56, 64, 64),
    (56, 64, 256),
    (56, 256, 64),
    (56, 256, 128),
    (28, 128, 512),
    (28, 256, 512),
    (28, 512, 128),
    (28, 512, 256),
    (14, 256, 1024),
    (14, 512, 1024),
    (14, 1024, 256),
    (14, 1024, 512),
    (7, 512, 2048),
    (7, 1024, 2048),
    (7, 2048, 512),
]
_MOBILENET_V2 = [
    (112, 32, 16),
    (112, 16, 96),
    (56, 96, 24),
    (56, 24, 144),
    (56, 144, 24),
    (28, 144, 32),
    (28, 32, 192),
    (28, 192, 32),
    (14, 192, 64),
    (14, 64, 384),
    (14, 384, 64),
    (14, 384, 96),
    (14, 96, 576),
    (14, 576, 96),
    (7, 576, 160),
    (7, 160, 960),
    (7, 960, 160),
    (7, 960, 320),
    (7, 320, 1280),
]

# Dense layers whose sizes are no multiples of a tile's: what stands before them, n, k.
_TAILS = [("MobileNetV2 fc", 1000, 1280), ("odd", 511, 515)]
_ROWS = {1: "tails one", 2: "tails few", 4: "tails few", 8: "tails few", 16: "tails", 32: "tails", 64: "tails"}


def _matmul(name, batch, m, n, k, ta=0, tb=0, packed=1, target=None):
    sizes = {"batch": batch, "m": m, "n": n, "k": k, "ta": ta, "tb": tb}
    fields = sizes | {"b_batched": int(batch > 1), "packed": packed, **NO_ACT}
    a = (batch, k, m) if ta else (batch, m, k)
    b = ((batch,) if batch > 1 else ()) + ((n, k) if tb else (k, n))
    label = f"{name}: {times(*([batch] if batch > 1 else []), m, k)} @ {times(k, n)}"
    pack = "matmul_pack" if packed else None
    add("matmul_fwd", label, fields, [a, b, None, None], [(batch, m, n)], pack=pack, target=target)


def fill():
    for row in _MATMUL:
        _matmul(*row)
    for n in _SQUARE:
        _matmul("square", 1, n, n, n, packed=0, target="gemm")
    for network, shapes in (("ResNet-50", _RESNET_50), ("MobileNetV2", _MOBILENET_V2)):
        for h, c, k in shapes:
            _matmul(f"{network} 1x1 at {h}", 1, h * h, k, c, target="gemm")
    for m, target in _ROWS.items():
        for name, n, k in _TAILS:
            _matmul(name, 1, m, n, k, target=target)
    _matmul("VGG-16 fc batch 1", 1, 1, 4096, 4096, target="tails one")
    fields = {"batch": 1, "m": 1, "n": 4096, "k": 4096, "ta": 0, "tb": 0, "b_batched": 0, "packed": 1, **NO_ACT}
    add("matmul_pack", "VGG-16 fc: 4096x4096", fields, [(4096, 4096)], [(4096, 4096)])
