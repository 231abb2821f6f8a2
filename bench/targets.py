"""What is asked of the kernels: the least share of a roof, for groups of cases, and whom each case must beat.

Roofs: "peak" is the rate of multiply-adds in registers (a rate counts the operations of the definition, so Winograd's
algorithm passes it); "copy" is the bandwidth of copying out of cache; "l2" is the lower of the peak and the bandwidth
of copying within L2; "plain" is the rate of the case named by `BenchCase.beside`.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Target:
    """At least `share` % of a roof (None: shown, nothing asked), and faster than each implementation in `beats`."""

    title: str
    share: float | None
    roof: str = "peak"
    beats: tuple = ()

    def labels(self):
        """What the report needs of it, for JSON."""
        return asdict(self)


_GEMM = "product: square, and 1x1 convolutions of ResNet-50 and MobileNetV2"
_TAILS = "product, N or K not a multiple of the tile"
_WINOGRAD = "3x3 stride 1, forward and backward for the data"

TARGETS = {
    "gemm": Target(_GEMM, 95, beats=("reference",)),
    "tails": Target(f"{_TAILS}, M = 16, 32, 64", 80),
    "tails few": Target(f"{_TAILS}, M = 2, 4, 8", None),
    "tails one": Target(f"{_TAILS}, M = 1", 90, "copy"),
    "direct": Target("direct convolution: 3x3/2, 5x5, 1x7, 7x1, dilated", 92),
    "stem": Target("first convolution of 3 channels: 7x7/2, 3x3/2", 80),
    "winograd 64": Target(f"{_WINOGRAD}, batch 1: 64 channels, 56x56", 260),
    "winograd 128": Target(f"{_WINOGRAD}, batch 1: 128 channels, 28x28", 300),
    "winograd 256": Target(f"{_WINOGRAD}, batch 1: 256 channels, 14x14", 280),
    "winograd batch": Target(f"{_WINOGRAD}, batch 8, from 128 channels on", 300),
    "winograd small": Target(f"{_WINOGRAD}, 16 and 32 channels", 140),
    "winograd streamed": Target("3x3 of 512 channels, 7x7, batch 1, weights streamed", 140),
    "weights direct": Target("backward for the weights, direct", 88),
    "weights winograd": Target("backward for the weights, F(3, 4), from 64 channels and 14x14 on", 200),
    "data strided": Target("backward for the data, stride 2", 85),
    "depthwise": Target("depthwise 3x3 and 5x5, stride 1 and 2, all passes", 60, "l2", ("torch",)),
    "grouped": Target("grouped convolution (ResNeXt 32x4d), all passes", 70),
    "kin": Target("transposed, 1-D and 3-D convolution, beside a plain one", 90, "plain"),
    "pool": Target("pooling, forward and backward", 80, "copy"),
    "norm": Target("normalisation in training, forward and backward", 80, "copy"),
    "softmax": Target("softmax and crossentropy", 80, "copy"),
    "elementwise": Target("elementwise", 80, "copy"),
    "update": Target("optimizers", 80, "copy"),
}
