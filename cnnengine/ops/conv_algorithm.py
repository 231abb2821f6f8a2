"""Which algorithm a convolution runs by: a pure function of one image's shape, never of the batch, a timing or threads.

Winograd's F(m x m, 3 x 3) takes (m + 2)**2 multiplications for m * m outputs of a 3 x 3 kernel instead of 9 m * m, but
computes whole tiles, has transforms to pay, and its filters are (m + 2)**2 / 9 times as large.
"""

from cnnengine.core.config import CONFIG

DIRECT, WINOGRAD_4, WINOGRAD_2 = range(3)  # the numbers of csrc/include/cnn/conv2d.h
NAMES = ("direct", "winograd 4x4", "winograd 2x2")  # with the size of a tile

# Filters of F(4, 3) larger than this no longer stay in the last-level cache; with few tiles to use them on, reading
# them costs more than the multiplications they save.
_LARGE_FILTERS = 20 << 20
_FEW_TILES = 16

# With as few tiles as the kernel takes together at least (csrc/drivers/winograd.c), transformed filters of so many
# elements are used once each time they come from memory; their taps are a fourth of that, and soon transformed. Of
# F(2, 3) they are 9/16, which does not repay it.
_ONE_BLOCK = 32
_STREAMED = 1 << 20

# Cost of a multiplication beside the direct algorithm's, transforms included (measured on Zen 3 and Zen 4, 64 channels
# and more).
_COST_4, _COST_2, _COST_WEIGHTS = 1.2, 1.15, 1.4


def _tiles(p, q, size):
    return -(-p // size) * -(-q // size)


def applies(kernel, strides, dilation, groups, channels, filters, pads):
    """Whether Winograd's algorithm can compute a convolution at all; kernel and pads without the axis of frames."""
    return (
        tuple(kernel) == (3, 3)
        and set(strides) == set(dilation) == {1}
        and groups == 1
        and channels % 16 == filters % 16 == 0
        and all(0 <= pad <= 2 for pad in pads)
    )


def choose(p, q, channels, filters):
    """The algorithm for p x q outputs of a convolution to which Winograd's applies.

    CONFIG.conv_algorithm overrides the choice: "direct" never takes Winograd's, "winograd" always does.
    """
    if CONFIG.conv_algorithm == "direct":
        return DIRECT
    tiles = _tiles(p, q, 4)
    cost_4 = 36 * tiles * _COST_4
    cost_2 = 16 * _tiles(p, q, 2) * _COST_2
    if 36 * 4 * channels * filters > _LARGE_FILTERS and tiles < _FEW_TILES:
        cost_4 = float("inf")
    if CONFIG.conv_algorithm == "auto" and min(cost_4, cost_2) >= 9 * p * q:
        return DIRECT
    return WINOGRAD_4 if cost_4 <= cost_2 else WINOGRAD_2


def transforms_in_run(fields):
    """Whether filters of a forward pass are transformed in every run, with the same result, instead of once.

    Args:
        fields: the descriptor of conv2d_fwd.
    """
    tiles = fields["n"] * fields["o"] * _tiles(fields["p"], fields["q"], 4)
    filters = 36 * fields["t"] * fields["c"] * fields["k"]
    return fields["algorithm"] == WINOGRAD_4 and tiles <= _ONE_BLOCK and filters >= _STREAMED


def choose_for_weights(p, q):
    """The algorithm for the gradient of the filters, where Winograd's applies: F(3, 4) has one size of tiles."""
    if CONFIG.conv_algorithm == "direct":
        return DIRECT
    is_slower = 36 * _tiles(p, q, 4) * _COST_WEIGHTS >= 9 * p * q
    return DIRECT if is_slower and CONFIG.conv_algorithm == "auto" else WINOGRAD_4
