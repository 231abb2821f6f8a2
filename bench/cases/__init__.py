"""What is measured: every operation on shapes of real networks, with what each costs.

`CASES[op]` is a list of BenchCase. Products and convolutions are those of ResNet-50 at 224 x 224, of MobileNetV2, of
CIFAR-10's ResNet-20 and others as named; other operations run on a batch of ResNet-50's largest activations.
"""

from bench.cases import convolutions, depthwise, products, rest
from bench.cases.case import CASES, BenchCase, arrays

for _module in (products, convolutions, depthwise, rest):
    _module.fill()

__all__ = ["CASES", "BenchCase", "arrays"]
