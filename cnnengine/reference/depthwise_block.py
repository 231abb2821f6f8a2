"""The depthwise block in plain NumPy, the oracle of csrc/drivers/depthwise_block.c: its three convolutions in turn.

Dims: x (n, h, w, c), y (n, p, q, k); the maps in between have the channels of the depthwise convolution.
"""

from types import SimpleNamespace

import numpy as np

from cnnengine.core.naming import without_prefix
from cnnengine.reference.conv2d import conv2d_fwd
from cnnengine.reference.depthwise2d import depthwise2d_fwd

__all__ = ["depthwise_block_fwd"]


def _part(d, name):
    return SimpleNamespace(**without_prefix(vars(d), f"{name}_"))


def depthwise_block_fwd(d, x, expand, expand_bias, w, bias, project, project_bias, addend, y):
    """y = act(depthwise(act(x * expand + expand_bias)) * project + project_bias + addend)."""
    depthwise = _part(d, "depthwise")
    if d.expands:
        wide = np.empty((depthwise.n, depthwise.h, depthwise.w, depthwise.c), x.dtype)
        conv2d_fwd(_part(d, "expand"), x, expand, expand_bias, None, wide)
        x = wide
    middle = np.empty((depthwise.n, depthwise.p, depthwise.q, depthwise.c), x.dtype)
    depthwise2d_fwd(depthwise, x, w, bias, middle)
    conv2d_fwd(_part(d, "project"), middle, project, project_bias, addend, y)
