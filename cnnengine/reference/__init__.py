"""Every operation once more, in plain NumPy: oracle of the kernels' tests, baseline of the benchmarks.

An operation is `name(d, *inputs, *outputs)`: `d` has the fields of the C descriptor as attributes, the
buffers have the names and the order of the C operation, outputs are written in place, an absent optional
input is None, and a list of inputs is one tuple. All work in the dtype they are given, so float64 arrays
give a float64 oracle.

Dims: n, h, w, c images, height, width, channels of the input; k filters; r, s kernel; p, q output;
m depth multiplier or rows of a matrix. What each operation computes is at the top of its header in
csrc/include/cnn/.
"""

import numpy as np

from cnnengine.reference import (
    batch_norm,
    conv2d,
    depthwise2d,
    depthwise_block,
    elementwise,
    group_norm,
    layer_norm,
    layout,
    matmul,
    pool2d,
    random,
    reduce,
    softmax,
    update,
)

_FAMILIES = (
    matmul,
    conv2d,
    depthwise2d,
    depthwise_block,
    pool2d,
    batch_norm,
    layer_norm,
    group_norm,
    elementwise,
    reduce,
    softmax,
    layout,
    random,
    update,
)

# NaN and infinities pass through without a warning, as they do in the kernels.
_quiet = np.errstate(all="ignore")

IMPLEMENTATIONS = {name: _quiet(getattr(family, name)) for family in _FAMILIES for name in family.__all__}
