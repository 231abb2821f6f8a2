"""Counter-based random numbers: a pure function of a stream's state and an element's place."""

from cnnengine.core.config import CONFIG
from cnnengine.core.context import CONTEXT
from cnnengine.core.seeds import checked_seed
from cnnengine.core.spec import TensorSpec, checked_spec
from cnnengine.core.variable import Variable
from cnnengine.ops.base import CALLS, bind, register
from cnnengine.ops.elementwise import as_float, cast, unary
from cnnengine.ops.layout import concat_along

UNIFORM = register(
    "random_uniform",
    lambda ins, attrs: [TensorSpec(attrs["shape"])],
    lambda ins, outs, attrs: {"count": outs[0].size, "low": attrs["low"], "high": attrs["high"]},
    lambda node, dy: [None],
)
# The backward pass drops the same elements: the mask is made again from the same state.
DROPOUT = register(
    "dropout",
    lambda ins, attrs: [TensorSpec(ins[0].shape)],
    lambda ins, outs, attrs: {"count": outs[0].size, "rate": attrs["rate"], "scale": attrs["scale"]},
    lambda node, dy: [bind(DROPOUT, [dy, node.inputs[1]], **node.attrs), None],
    reuse=True,
)
NEXT = register(
    "random_next",
    lambda ins, attrs: [],
    lambda ins, outs, attrs: {"count": 0, "low": 0.0, "high": 0.0},
    changes=True,
)


class SeedGenerator:
    """A random stream of its own, as keras.random.SeedGenerator.

    Args:
        seed: int, or None for a fresh one.
    """

    def __init__(self, seed=None, name="seed_generator"):
        self.seed = checked_seed(seed)
        self.state = random_state(self.seed, f"{name}_state")

    def get_config(self):
        return {"seed": self.seed}


def random_state(seed, name="seed_generator_state"):
    """The Variable of a stream: seed and counter, each as two 32-bit words."""
    words = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, 0, 0]
    signed = [word - (1 << 32) if word >= 1 << 31 else word for word in words]
    return Variable(signed, name=name, trainable=False, dtype="int32")


def advance(state):
    """Move a stream on, at the end of the run when something records.

    Who reads the stream again in the same run reads it at another high word of the counter, which steps never reach.
    """
    if CONTEXT.tracer is not None:
        following = concat_along([state[:3], cast(unary("affine", state[3:], 1.0, 1.0), "int32")], 0)
        CONTEXT.tracer.update(NEXT, [], [state])
        CONTEXT.tracer.follow(state, following)
        return
    CALLS[CONFIG.backend]("random_next", NEXT.fields([], [], {}), [], [state.writable()])
    state.touched()


def dropout_with(x, rate, state):
    """x with a share `rate` of its elements set to 0 and the others divided by 1 - rate; the stream moves on."""
    y = bind(DROPOUT, [as_float(x), state], rate=float(rate), scale=1.0 / (1.0 - rate))
    advance(state)
    return y


def uniform_from(state, shape, low=0.0, high=1.0):
    """Uniform numbers in [low, high) from a stream, which moves on."""
    y = bind(UNIFORM, [state], shape=checked_spec(shape).shape, low=float(low), high=float(high))
    advance(state)
    return y
