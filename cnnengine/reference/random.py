"""Random numbers in plain NumPy, the oracle of csrc/drivers/random.c.

The generator is Philox4x32-7 (Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011): a
block of four words is a function of a key and a counter, so number i of a stream does not depend on the numbers before
it. Seven rounds are the fewest with which it passes all of TestU01's BigCrush, as the authors report; their default of
ten is a margin on top of it, which dropout would pay for with a third of its time.

state: int32[4] = seed low, seed high, counter low, counter high.
"""

import numpy as np

__all__ = ["dropout", "random_next", "random_uniform"]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW_WORD, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter, key):
    """Blocks of Philox4x32-7.

    Args:
        counter: four uint32 words, each an array of one shape or a number.
        key: two uint32 words.

    Returns:
        uint32 array of that shape and a last axis of 4.
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    for step in range(7):
        k0, k1 = (np.uint64((int(k) + step * w) & 0xFFFFFFFF) for k, w in zip(key, _KEY_STEPS, strict=True))
        left, right = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1 = (right >> _SHIFT) ^ c1 ^ k0, right & _LOW_WORD
        c2, c3 = (left >> _SHIFT) ^ c3 ^ k1, left & _LOW_WORD
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), -1).astype(np.uint32)


def _uniform(state, count):
    """The first `count` numbers of the stream, in [0, 1), multiples of 2^-24."""
    seed_low, seed_high, counter_low, counter_high = state.reshape(-1).view(np.uint32)
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    words = philox((block & _LOW_WORD, block >> _SHIFT, counter_low, counter_high), (seed_low, seed_high))
    return (words.reshape(-1)[:count] >> np.uint32(8)) * 2.0**-24


def random_uniform(d, state, y):
    """y[i] = low + (high - low) u_i."""
    y[...] = (d.low + (d.high - d.low) * _uniform(state, d.count)).reshape(y.shape)


def dropout(d, x, state, y):
    """y[i] = x[i] scale where u_i >= rate, else 0."""
    keep = _uniform(state, d.count) >= d.rate
    y[...] = np.where(keep, x.reshape(-1) * d.scale, 0).reshape(y.shape)


def random_next(d, state):
    """The 64-bit counter of the stream += 1."""
    state.reshape(-1)[2:].view(np.uint64)[...] += np.uint64(1)
