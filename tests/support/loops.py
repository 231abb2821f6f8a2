"""Every operation as loops over elements or channel vectors: slow, and simple enough to be read as right.

The same signatures as in cnnengine/reference; test_reference.py compares the two in float64. Dims:
n, h, w, c images, height, width, channels of the input; k filters; r, s kernel; p, q output;
m depth multiplier or rows. The file is long because it is a list, a few lines an operation.
"""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np

from cnnengine.core.codes import BINARY, REDUCE, UNARY

# --- elementwise functions of Python floats -------------------------------------------------------


def _sigmoid(x):
    return 1 / (1 + math.exp(-x))


def _power(x, exponent):
    return math.nan if x < 0 and exponent != round(exponent) else x**exponent


UNARY_LOOPS = {
    "identity": lambda x, a, b: x,
    "relu": lambda x, a, b: max(x, 0),
    "relu6": lambda x, a, b: min(max(x, 0), 6),
    "leaky_relu": lambda x, a, b: x if x > 0 else a * x,
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "tanh": lambda x, a, b: math.tanh(x),
    "elu": lambda x, a, b: x if x > 0 else a * (math.exp(x) - 1),
    "softplus": lambda x, a, b: math.log(1 + math.exp(x)),
    "softsign": lambda x, a, b: x / (1 + abs(x)),
    "silu": lambda x, a, b: x * _sigmoid(x),
    "gelu": lambda x, a, b: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x, a, b: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": lambda x, a, b: min(max(x / 6 + 0.5, 0), 1),
    "hard_silu": lambda x, a, b: x * min(max(x / 6 + 0.5, 0), 1),
    "mish": lambda x, a, b: x * math.tanh(math.log(1 + math.exp(x))),
    "exp": lambda x, a, b: math.exp(x),
    "expm1": lambda x, a, b: math.expm1(x),
    "log": lambda x, a, b: math.log(x),
    "log1p": lambda x, a, b: math.log1p(x),
    "sqrt": lambda x, a, b: math.sqrt(x),
    "rsqrt": lambda x, a, b: 1 / math.sqrt(x),
    "square": lambda x, a, b: x * x,
    "reciprocal": lambda x, a, b: 1 / x,
    "abs": lambda x, a, b: abs(x),
    "sign": lambda x, a, b: (x > 0) - (x < 0),
    "negative": lambda x, a, b: -x,
    "floor": lambda x, a, b: math.floor(x),
    "ceil": lambda x, a, b: math.ceil(x),
    "round": lambda x, a, b: round(x),
    "erf": lambda x, a, b: math.erf(x),
    "sin": lambda x, a, b: math.sin(x),
    "cos": lambda x, a, b: math.cos(x),
    "clip": lambda x, a, b: min(max(x, a), b),
    "affine": lambda x, a, b: a * x + b,
    "power": lambda x, a, b: _power(x, a),
    "threshold": lambda x, a, b: x if x > a else b,
    "isnan": lambda x, a, b: x != x,
    "isfinite": lambda x, a, b: math.isfinite(x),
}

BINARY_LOOPS = {
    "add": lambda u, v: u + v,
    "subtract": lambda u, v: u - v,
    "multiply": lambda u, v: u * v,
    "divide": lambda u, v: u / v,
    "maximum": lambda u, v: max(u, v),
    "minimum": lambda u, v: min(u, v),
    "power": lambda u, v: _power(u, v),
    "squared_difference": lambda u, v: (u - v) ** 2,
    "floor_divide": lambda u, v: math.floor(u / v),
    "mod": lambda u, v: u - math.floor(u / v) * v,
    "equal": lambda u, v: u == v,
    "not_equal": lambda u, v: u != v,
    "greater": lambda u, v: u > v,
    "greater_equal": lambda u, v: u >= v,
    "less": lambda u, v: u < v,
    "less_equal": lambda u, v: u <= v,
}

_UNARY = [UNARY_LOOPS[name] for name in UNARY]
_BINARY = [BINARY_LOOPS[name] for name in BINARY]


def _cells(shape):
    return product(*map(range, shape))


def _apply(function, x):
    return np.array([function(float(value)) for value in x.flat], x.dtype).reshape(x.shape)


def unary_fwd(d, x, y):
    y[...] = _apply(lambda value: _UNARY[d.func](value, d.alpha, d.beta), x)


def _offset(position, strides):
    return sum(i * stride for i, stride in zip(position, strides, strict=False))


def binary(d, a, b, y):
    for position in _cells(d.dims):
        u, v = a.flat[_offset(position, d.stride_a)], b.flat[_offset(position, d.stride_b)]
        y[position] = _BINARY[d.func](float(u), float(v))


def select(d, cond, a, b, y):
    for i in range(d.count):
        y[i] = a[i] if cond[i] else b[i]


def fill(d, y):
    for i in range(d.count):
        y[i] = d.value


def broadcast(d, x, y):
    for position in _cells(d.dims):
        y[position] = x.flat[_offset(position, d.stride_a)]


def _to_integer(value, low, high):
    return 0 if math.isnan(value) else low if value <= low else high if value >= high else int(value)


def cast(d, x, y):
    for i in range(d.count):
        if y.dtype.kind in "iu":
            limits = np.iinfo(y.dtype)
            y[i] = _to_integer(float(x[i]), int(limits.min), int(limits.max))
        else:
            y[i] = float(x[i])


def _epilogue(d, y, bias=None, addend=None):
    for position in _cells(y.shape):
        value = y[position]
        if bias is not None:
            value += bias[position[-1]]
        if addend is not None:
            value += addend[position]
        y[position] = _UNARY[d.act](float(value), d.alpha, d.beta)


# --- products and windows -------------------------------------------------------------------------


def matmul_fwd(d, a, b, bias, addend, y):
    for i in range(d.batch):
        left = a[i].T if d.ta else a[i]
        right = b[i] if d.b_batched else b
        right = right.T if d.tb else right
        for row, column in _cells((d.m, d.n)):
            y[i, row, column] = sum(left[row, t] * right[t, column] for t in range(d.k))
    _epilogue(d, y, bias, addend)


def matmul_pack(d, b, packed):
    packed[...] = b


def _hits(d):
    """Every (p, q, i, j, h, w): tap (i, j) of the window at (p, q) falls on the cell (h, w) of the image."""
    dilation_h, dilation_w = getattr(d, "dilation_h", 1), getattr(d, "dilation_w", 1)
    for p, q, i, j in _cells((d.p, d.q, d.r, d.s)):
        h = p * d.stride_h - d.pad_t + i * dilation_h
        w = q * d.stride_w - d.pad_l + j * dilation_w
        if 0 <= h < d.h and 0 <= w < d.w:
            yield p, q, i, j, h, w


def _frame_hits(d):
    """Every (o, t, f): tap t of the windows in frame o of the output falls on frame f of the image."""
    for o, t in _cells((d.o, d.t)):
        f = o * d.stride_f - d.pad_f + t * d.dilation_f
        if 0 <= f < d.f:
            yield o, t, f


def _group_hits(d):
    """Of each group, image and hit of a tap: where it is in x, w and y with three spatial axes."""
    width_c, width_k = d.c // d.groups, d.k // d.groups
    for group in range(d.groups):
        c, k = slice_of(group, width_c), slice_of(group, width_k)
        for n, (o, t, f), (p, q, i, j, h, w) in product(range(d.n), list(_frame_hits(d)), list(_hits(d))):
            yield (n, f, h, w, c), (t, i, j, np.s_[:], k), (n, o, p, q, k)


def _with_frames(d, x, w, y):
    """Views of x, w and y with three spatial axes."""
    return (
        x.reshape(d.n, d.f, d.h, d.w, d.c),
        w.reshape(d.t, d.r, d.s, d.c // d.groups, d.k),
        y.reshape(d.n, d.o, d.p, d.q, d.k),
    )


def slice_of(number, width):
    return np.s_[number * width : (number + 1) * width]


def conv2d_fwd(d, x, w, bias, addend, y):
    y[...] = 0
    x, w, sums = _with_frames(d, x, w, y)
    for cell, tap, pixel in _group_hits(d):
        sums[pixel] += x[cell] @ w[tap]
    _epilogue(d, y, bias, addend)


def conv2d_into(d, x, w, bias, base, y):
    if base is not None:
        y[...] = base
    own = np.zeros((*y.shape[:-1], d.k))
    conv2d_fwd(d, x, w, bias, None, own)
    y[..., d.y_at : d.y_at + d.k] = own


def conv2d_bwd_data(d, dy, w, bias, addend, dx):
    dx[...] = 0
    sums, w, dy = _with_frames(d, dx, w, dy)
    for cell, tap, pixel in _group_hits(d):
        sums[cell] += w[tap] @ dy[pixel]
    _epilogue(d, dx, bias, addend)


def conv2d_bwd_weights(d, x, dy, dw):
    dw[...] = 0
    x, sums, dy = _with_frames(d, x, dw, dy)
    for cell, tap, pixel in _group_hits(d):
        sums[tap] += np.outer(x[cell], dy[pixel])


def conv2d_pack(d, w, packed):
    packed[...] = w


def conv2d_bwd_data_pack(d, w, packed):
    packed[...] = w


def _depthwise_hits(d):
    """Of each image, channel, kernel of the channel and hit: the output channel comes last."""
    for n, c, m, hit in product(range(d.n), range(d.c), range(d.m), list(_hits(d))):
        yield n, c, m, *hit, c * d.m + m


def depthwise2d_fwd(d, x, w, bias, y):
    y[...] = 0
    for n, c, m, p, q, i, j, h, v, k in _depthwise_hits(d):
        y[n, p, q, k] += x[n, h, v, c] * w[i, j, c, m]
    _epilogue(d, y, bias)


def depthwise_block_fwd(d, x, expand, expand_bias, w, bias, project, project_bias, addend, y):
    def part(name):
        return SimpleNamespace(**{key[len(name) :]: value for key, value in vars(d).items() if key.startswith(name)})

    depthwise = part("depthwise_")
    if d.expands:
        wide = np.empty((depthwise.n, depthwise.h, depthwise.w, depthwise.c), x.dtype)
        conv2d_fwd(part("expand_"), x, expand, expand_bias, None, wide)
        x = wide
    middle = np.empty((depthwise.n, depthwise.p, depthwise.q, depthwise.c), x.dtype)
    depthwise2d_fwd(depthwise, x, w, bias, middle)
    conv2d_fwd(part("project_"), middle, project, project_bias, addend, y)


def depthwise2d_bwd_data(d, dy, w, dx):
    dx[...] = 0
    for n, c, m, p, q, i, j, h, v, k in _depthwise_hits(d):
        dx[n, h, v, c] += dy[n, p, q, k] * w[i, j, c, m]


def depthwise2d_bwd_weights(d, x, dy, dw):
    dw[...] = 0
    for n, c, m, p, q, i, j, h, v, k in _depthwise_hits(d):
        dw[i, j, c, m] += x[n, h, v, c] * dy[n, p, q, k]


def _wins(value, best):
    return best is None or (value > best) or (math.isnan(value) and not math.isnan(best))


def max_pool2d_fwd(d, x, y, index):
    y[...], index[...], hits = -math.inf, 0, list(_hits(d))
    for n, c in _cells((d.n, d.c)):
        best = {}
        for p, q, i, j, h, w in hits:
            if _wins(x[n, h, w, c], best.get((p, q))):
                best[p, q] = y[n, p, q, c] = x[n, h, w, c]
                index[n, p, q, c] = i * d.s + j


def max_pool2d_bwd(d, dy, index, dx):
    dx[...] = 0
    for p, q, i, j, h, w in _hits(d):
        for n, c in _cells((d.n, d.c)):
            if index[n, p, q, c] == i * d.s + j:
                dx[n, h, w, c] += dy[n, p, q, c]


def _counts(d):
    count = np.zeros((d.p, d.q))
    for p, q, *_ in _hits(d):
        count[p, q] += 1
    return count


def avg_pool2d_fwd(d, x, y):
    y[...], count = 0, _counts(d)
    for p, q, _, _, h, w in _hits(d):
        y[:, p, q] += x[:, h, w] / count[p, q]


def avg_pool2d_bwd(d, dy, dx):
    dx[...], count = 0, _counts(d)
    for p, q, _, _, h, w in _hits(d):
        dx[:, h, w] += dy[:, p, q] / count[p, q]


# --- batch normalisation, softmax, reductions -----------------------------------------------------


def batch_norm_stats(d, x, mean, var):
    for c in range(d.c):
        mean[c] = sum(x[:, c]) / max(d.rows, 1)
        var[c] = sum((value - mean[c]) ** 2 for value in x[:, c]) / max(d.rows, 1)


def batch_norm_fwd(d, x, mean, var, gamma, beta, addend, y):
    for row, c in _cells((d.rows, d.c)):
        value = (x[row, c] - mean[c]) / math.sqrt(var[c] + d.epsilon)
        value = value * (1 if gamma is None else gamma[c]) + (0 if beta is None else beta[c])
        y[row, c] = value
    _epilogue(d, y, None, addend)


def batch_norm_bwd(d, x, dy, mean, var, gamma, beta, dx, dgamma, dbeta):
    limit = {0: None, 1: math.inf, 2: 6.0}[d.act]  # none, relu, relu6
    dy = np.array(dy)
    for c in range(d.c):
        scale = 1 / math.sqrt(var[c] + d.epsilon)
        normalised = [(value - mean[c]) * scale for value in x[:, c]]
        for row in range(d.rows if limit else 0):
            y = normalised[row] * (1 if gamma is None else gamma[c]) + (0 if beta is None else beta[c])
            dy[row, c] = dy[row, c] if 0 < y < limit else 0
        dgamma[c] = sum(g * z for g, z in zip(dy[:, c], normalised, strict=True))
        dbeta[c] = sum(dy[:, c])
        for row in range(d.rows):
            through_statistics = (dbeta[c] + normalised[row] * dgamma[c]) / d.rows if d.training else 0
            dx[row, c] = (dy[row, c] - through_statistics) * scale * (1 if gamma is None else gamma[c])


def _moments(values):
    mean = sum(values) / max(len(values), 1)
    return mean, sum((value - mean) ** 2 for value in values) / max(len(values), 1)


def _normalised(d, cells, x, gamma, beta, y):
    """Normalise x over `cells` (indices that end in the channel), write y, return mean and variance."""
    mean, var = _moments([x[cell] for cell in cells])
    for cell in cells:
        value = (x[cell] - mean) / math.sqrt(var + d.epsilon)
        y[cell] = value * (1 if gamma is None else gamma[cell[-1]]) + (0 if beta is None else beta[cell[-1]])
    return mean, var


def _normalised_bwd(d, cells, x, dy, mean, var, gamma, dx, dgamma, dbeta):
    """The gradients of that, those of gamma and beta added to what is there."""
    scale = 1 / math.sqrt(var + d.epsilon)
    z = {cell: (x[cell] - mean) * scale for cell in cells}
    g = {cell: dy[cell] * (1 if gamma is None else gamma[cell[-1]]) for cell in cells}
    for cell in cells:
        mean_g, mean_gz = sum(g.values()) / len(cells), sum(g[each] * z[each] for each in cells) / len(cells)
        dx[cell] = (g[cell] - mean_g - z[cell] * mean_gz) * scale
        dgamma[cell[-1]] += dy[cell] * z[cell]
        dbeta[cell[-1]] += dy[cell]


def layer_norm_fwd(d, x, gamma, beta, y, mean, var):
    for row in range(d.rows):
        mean[row], var[row] = _normalised(d, [(row, c) for c in range(d.c)], x, gamma, beta, y)


def layer_norm_bwd(d, x, dy, mean, var, gamma, dx, dgamma, dbeta):
    dgamma[...] = dbeta[...] = 0
    for row in range(d.rows):
        cells = [(row, c) for c in range(d.c)]
        _normalised_bwd(d, cells, x, dy, mean[row], var[row], gamma, dx, dgamma, dbeta)


def _group_cells(d, image, group):
    width = d.c // d.groups
    return [(image, pixel, group * width + c) for pixel, c in _cells((d.pixels, width))]


def group_norm_fwd(d, x, gamma, beta, y, mean, var):
    for image, group in _cells((d.n, d.groups)):
        cells = _group_cells(d, image, group)
        mean[image, group], var[image, group] = _normalised(d, cells, x, gamma, beta, y)


def group_norm_bwd(d, x, dy, mean, var, gamma, dx, dgamma, dbeta):
    dgamma[...] = dbeta[...] = 0
    for at in _cells((d.n, d.groups)):
        _normalised_bwd(d, _group_cells(d, *at), x, dy, mean[at], var[at], gamma, dx, dgamma, dbeta)


def _shifted(row):
    return [value - max(row) for value in row]


def softmax_fwd(d, x, y):
    for row in range(d.rows):
        terms = [math.exp(value) for value in _shifted(x[row])]
        y[row] = [term / sum(terms) for term in terms]


def log_softmax_fwd(d, x, y):
    for row in range(d.rows):
        shifted = _shifted(x[row])
        log_sum = math.log(sum(math.exp(value) for value in shifted))
        y[row] = [value - log_sum for value in shifted]


def softmax_bwd(d, y, dy, dx):
    for row, j in _cells((d.rows, d.cols)):
        dx[row, j] = sum(dy[row, i] * y[row, i] * ((i == j) - y[row, j]) for i in range(d.cols))


def log_softmax_bwd(d, y, dy, dx):
    for row, j in _cells((d.rows, d.cols)):
        dx[row, j] = sum(dy[row, i] * ((i == j) - math.exp(y[row, j])) for i in range(d.cols))


def _target(d, t, row):
    if not d.sparse:
        return t[row]
    if 0 <= t[row] < d.cols:
        return [float(t[row] == j) for j in range(d.cols)]
    return [math.nan] * d.cols


def softmax_xent_fwd(d, x, t, loss, prob):
    softmax_fwd(d, x, prob)
    logs = np.empty_like(prob)
    log_softmax_fwd(d, x, logs)
    for row in range(d.rows):
        pairs = zip(_target(d, t, row), logs[row], strict=True)
        loss[row] = -sum(target * log for target, log in pairs if target != 0)


def softmax_xent_bwd(d, prob, t, dloss, dx):
    for row in range(d.rows):
        target = _target(d, t, row)
        for j in range(d.cols):
            dx[row, j] = (prob[row, j] * sum(target) - target[j]) * dloss[row]


_REDUCE = {
    "sum": sum,
    "max": lambda values: math.nan if any(map(math.isnan, values)) else max(values),
    "min": lambda values: math.nan if any(map(math.isnan, values)) else min(values),
    "prod": math.prod,
    "sum_squares": lambda values: sum(value * value for value in values),
}
_REDUCES = [_REDUCE[name] for name in REDUCE]


def reduce(d, x, y):
    for outer, inner in _cells((d.outer, d.inner)):
        y[outer, inner] = d.scale * _REDUCES[d.func]([float(x[outer, j, inner]) for j in range(d.red)])


def argmax(d, x, y):
    for outer, inner in _cells((d.outer, d.inner)):
        best = None
        for j in range(d.red):
            if _wins(x[outer, j, inner], best):
                best, y[outer, inner] = x[outer, j, inner], j


# --- layout ---------------------------------------------------------------------------------------


def transpose(d, x, y):
    for position in _cells(d.dims):
        y[position] = x.flat[_offset(position, d.stride)]


def pad(d, x, y):
    y[...] = d.value
    for position in _cells(d.dims):
        y[tuple(i + before for i, before in zip(position, d.before, strict=True))] = x[position]


def _source(d, position):
    return tuple(start + i * step for i, start, step in zip(position, d.start, d.step, strict=True))


def slice(d, x, y):
    for position in _cells(d.out):
        y[position] = x[_source(d, position)]


def unslice(d, dy, dx):
    dx[...] = 0
    for position in _cells(d.out):
        dx[_source(d, position)] = dy[position]


def concat(d, xs, y):
    for outer in range(d.outer):
        y[outer] = [value for x in xs for value in x[outer]]


def gather(d, x, index, y):
    for i in range(d.count):
        y[i] = x[index[i]] if 0 <= index[i] < d.rows else math.nan


def scatter_add(d, dy, index, dx):
    dx[...] = 0
    for i in range(d.count):
        if 0 <= index[i] < d.rows:
            dx[index[i]] += dy[i]


def one_hot(d, index, y):
    for i, j in _cells((d.count, d.cols)):
        y[i, j] = index[i] == j


# --- random numbers and updates -------------------------------------------------------------------


# Of Random123, the authors' own implementation, for 7 rounds: counter, key, block.
PHILOX_KNOWN_ANSWERS = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A),
    ),
]


def philox(counter, key):
    """One block of Philox4x32-7 in Python integers (Salmon, Moraes, Dror and Shaw 2011, section 4.3)."""
    counter, key = list(counter), list(key)
    for _ in range(7):
        high0, low0 = divmod(0xD2511F53 * counter[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * counter[2], 2**32)
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


def _uniform(state, i):
    seed_low, seed_high, low, high = (int(word) % 2**32 for word in state)
    words = philox(((i // 4) % 2**32, (i // 4) >> 32, low, high), (seed_low, seed_high))
    return (words[i % 4] >> 8) / 2**24


def random_uniform(d, state, y):
    for i in range(d.count):
        y[i] = d.low + (d.high - d.low) * _uniform(state, i)


def dropout(d, x, state, y):
    for i in range(d.count):
        y[i] = x[i] * d.scale if _uniform(state, i) >= d.rate else 0


def random_next(d, state):
    low, high = (int(word) % 2**32 for word in state[2:])
    number = (high * 2**32 + low + 1) % 2**64
    state[2:] = np.array([number % 2**32, number >> 32], np.uint32).view(np.int32)


def sgd_update(d, g, hyper, w):
    for i in range(d.count):
        w[i] = w[i] - hyper[0] * g[i]


def momentum_update(d, g, hyper, w, v):
    for i in range(d.count):
        v[i] = d.momentum * v[i] - hyper[0] * g[i]
        w[i] += d.momentum * v[i] - hyper[0] * g[i] if d.nesterov else v[i]


def adam_update(d, g, hyper, w, m, v):
    for i in range(d.count):
        m[i] = d.beta1 * m[i] + (1 - d.beta1) * g[i]
        v[i] = d.beta2 * v[i] + (1 - d.beta2) * g[i] ** 2
        w[i] -= hyper[0] * m[i] / (math.sqrt(v[i]) + d.epsilon)


def rmsprop_update(d, g, hyper, w, v, mom):
    for i in range(d.count):
        v[i] = d.rho * v[i] + (1 - d.rho) * g[i] ** 2
        step = hyper[0] * g[i] / math.sqrt(v[i] + d.epsilon)
        if d.momentum > 0:
            step = mom[i] = d.momentum * mom[i] + step
        w[i] -= step


def ema_update(d, x, v):
    for i in range(d.count):
        v[i] = d.momentum * v[i] + (1 - d.momentum) * x[i]


def assign(d, x, v):
    for i in range(d.count):
        v[i] = x[i]


def assign_add(d, x, v):
    for i in range(d.count):
        v[i] = v[i] + x[i]
