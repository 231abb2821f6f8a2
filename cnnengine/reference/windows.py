"""The windows that convolutions and poolings slide over an image (dims: see the package's docstring).

Both directions read one view: forward takes the values of the windows from it, backward adds to them.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def padded(x, d, dilation=(1, 1)):
    """Copy x (n, h, w, c) into the middle of zeros, as large as the p by q windows reach."""
    rows = max(d.pad_t + d.h, (d.p - 1) * d.stride_h + (d.r - 1) * dilation[0] + 1)
    cols = max(d.pad_l + d.w, (d.q - 1) * d.stride_w + (d.s - 1) * dilation[1] + 1)
    result = np.zeros((len(x), rows, cols, x.shape[3]), x.dtype)
    inside(result, d)[...] = x
    return result


def inside(image, d):
    """The part of a padded image that is not padding."""
    return image[:, d.pad_t : d.pad_t + d.h, d.pad_l : d.pad_l + d.w]


def windows(image, d, dilation=(1, 1)):
    """View of a padded image as (n, p, q, r, s, c): element [..., i, j, :] is tap (i, j) of each window."""
    span = ((d.r - 1) * dilation[0] + 1, (d.s - 1) * dilation[1] + 1)
    view = sliding_window_view(image, span, axis=(1, 2), writeable=True)
    view = view[:, :: d.stride_h, :: d.stride_w, :, :: dilation[0], :: dilation[1]]
    return view[:, : d.p, : d.q].transpose(0, 1, 2, 4, 5, 3)


def taps(d):
    """Positions (i, j) of the kernel, in the order of its rows."""
    return [(i, j) for i in range(d.r) for j in range(d.s)]
