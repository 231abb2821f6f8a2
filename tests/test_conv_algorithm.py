"""Winograd's algorithm: how large its errors are beside the direct algorithm's, and when it is chosen."""

import numpy as np
import pytest

from cnnengine import _native as native
from cnnengine import config, ops
from cnnengine.core.config import CONFIG
from cnnengine.core.errors import ConfigError
from cnnengine.ops import conv_algorithm
from cnnengine.ops.conv_algorithm import DIRECT, WINOGRAD_2, WINOGRAD_4


@pytest.fixture
def algorithm():
    """Set the algorithm of convolutions; "auto" again afterwards."""
    yield config.set_conv_algorithm
    config.set_conv_algorithm("auto")


def _fields(n, size, c, k, algorithm):
    names = ("f", "t", "o", "stride_f", "stride_h", "stride_w", "dilation_f", "dilation_h", "dilation_w")
    names += ("pad_t", "pad_l", "groups")
    fields = {"n": n, "h": size, "w": size, "c": c, "k": k, "r": 3, "s": 3, "p": size, "q": size}
    return (
        fields
        | dict.fromkeys(names, 1)
        | {"algorithm": algorithm, "pad_f": 0, "packed": 0, "act": 0, "alpha": 0.0, "beta": 0.0}
    )


def _exact(x, w):
    """The convolution in float64."""
    size, x = x.shape[1], np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(x[:, i : i + size, j : j + size] @ w[i, j].astype(np.float64) for i in range(3) for j in range(3))


def _rms(a):
    return float(np.sqrt(np.mean(np.square(a))))


# From 228 channels on the direct algorithm sums in parts, which makes its own error smaller than one chain would.
@pytest.mark.parametrize(
    ("which", "factor", "channels"),
    [
        (WINOGRAD_4, 3.0, 64),
        (WINOGRAD_4, 3.0, 224),
        (WINOGRAD_4, 4.0, 256),
        (WINOGRAD_2, 1.5, 64),
        (WINOGRAD_2, 1.5, 256),
    ],
)
def test_error_is_at_most_a_small_multiple_of_the_direct_algorithms(which, factor, channels):
    rng = np.random.default_rng(channels)
    x = np.maximum(rng.standard_normal((1, 14, 14, channels)), 0).astype(np.float32)  # as after a ReLU
    w = (rng.standard_normal((3, 3, channels, 64)) * np.sqrt(2 / (9 * channels))).astype(np.float32)
    exact, errors = _exact(x, w), {}
    for each in (DIRECT, which):
        y = np.empty(exact.shape, np.float32)
        native.call("conv2d_fwd", _fields(1, 14, channels, 64, each), [x, w, None, None], [y])
        errors[each] = _rms(y - exact)
    assert errors[which] <= factor * errors[DIRECT]
    assert errors[which] <= 3e-6 * _rms(exact)


def test_gradient_of_filters_is_within_ten_times_the_direct_algorithms():
    rng = np.random.default_rng(5)
    x = np.maximum(rng.standard_normal((8, 28, 28, 32)), 0).astype(np.float32)
    dy = rng.standard_normal((8, 28, 28, 32)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = [[padded[:, i : i + 28, j : j + 28] for j in range(3)] for i in range(3)]
    exact = np.array([[np.einsum("nhwc,nhwk->ck", window, dy.astype(np.float64)) for window in row] for row in windows])
    errors = {}
    for each in (DIRECT, WINOGRAD_4):
        dw = np.empty(exact.shape, np.float32)
        native.call("conv2d_bwd_weights", _fields(8, 28, 32, 32, each), [x, dy], [dw])
        errors[each] = _rms(dw - exact)
    assert errors[WINOGRAD_4] <= 10 * errors[DIRECT]
    assert errors[WINOGRAD_4] <= 1e-5 * _rms(exact)


@pytest.mark.parametrize(
    ("p", "q", "channels", "filters", "expected"),
    [
        (56, 56, 64, 64, WINOGRAD_4),
        (14, 14, 256, 256, WINOGRAD_4),
        (7, 7, 512, 512, WINOGRAD_2),  # filters of F(4, 3) would not stay in the cache
        (14, 14, 512, 512, WINOGRAD_4),  # nor here, but there is enough to do with them
        (6, 6, 64, 64, WINOGRAD_2),  # F(4, 3) would compute 64 outputs for 36
        (1, 1, 64, 64, DIRECT),
    ],
)
def test_choice(p, q, channels, filters, expected):
    assert conv_algorithm.choose(p, q, channels, filters) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": (5, 5)},
        {"strides": (2, 2)},
        {"dilation": (2, 2)},
        {"groups": 2},
        {"channels": 24},
        {"filters": 10},
        {"pads": (3, 1)},
    ],
)
def test_winograd_applies_to_plain_3x3_only(change):
    plain = {"kernel": (3, 3), "strides": (1, 1), "dilation": (1, 1), "groups": 1}
    plain |= {"channels": 32, "filters": 32, "pads": (1, 1)}
    assert conv_algorithm.applies(**plain)
    assert not conv_algorithm.applies(**(plain | change))


def test_override(algorithm):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 12, 12, 16)).astype(np.float32)
    w = rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    results = {}
    for name in ("auto", "direct", "winograd"):
        algorithm(name)
        results[name] = ops.conv(x, w, padding="same")
    np.testing.assert_array_equal(results["auto"], results["winograd"])
    assert not np.array_equal(results["auto"], results["direct"])
    np.testing.assert_allclose(results["auto"], results["direct"], atol=1e-3)


def test_unknown_algorithm_is_refused():
    with pytest.raises(ConfigError, match="conv_algorithm must be one of"):
        config.set_conv_algorithm("fft")
    assert CONFIG.conv_algorithm == "auto"
