"""Matrix product in plain NumPy, the oracle of csrc/drivers/matmul.c.

Dims: m rows, n columns, k the summed axis, batch independent products. The packed form of a matrix is the
kernels' own; here packing is the identity, so packed weights are b as it was stored.
"""

import numpy as np

from cnnengine.reference.elementwise import epilogue

__all__ = ["matmul_fwd", "matmul_pack"]


def _operand(array, batch, rows, cols, transposed):
    """op(array) as (batch, rows, cols), from the leading elements of a possibly longer packed buffer."""
    stored = (batch, cols, rows) if transposed else (batch, rows, cols)
    array = array.reshape(-1)[: batch * rows * cols].reshape(stored)
    return array.swapaxes(1, 2) if transposed else array


def matmul_fwd(d, a, b, bias, addend, y):
    """y = act(op(a) op(b) + bias + addend)."""
    a = _operand(a, d.batch, d.m, d.k, d.ta)
    b = _operand(b, d.batch if d.b_batched else 1, d.k, d.n, d.tb)
    y[...] = epilogue(d, np.matmul(a, b), bias, addend).reshape(y.shape)


def matmul_pack(d, b, packed):
    """packed = b."""
    packed.reshape(-1)[: b.size] = b.reshape(-1)
