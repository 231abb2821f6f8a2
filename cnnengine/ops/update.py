"""Updates of variables in place: the optimizers' steps, moving averages, assignments."""

from cnnengine.core.config import CONFIG
from cnnengine.core.context import CONTEXT
from cnnengine.ops.base import CALLS, register, spec_of, to_array

_DEFAULTS = {"nesterov": 0, "momentum": 0.0, "beta1": 0.0, "beta2": 0.0, "rho": 0.0, "epsilon": 0.0}


def _fields(ins, outs, attrs):
    return _DEFAULTS | attrs | {"count": outs[0].size}


UPDATES = {
    name: register(name, lambda ins, attrs: [], _fields, changes=name != "assign")
    for name in (
        "sgd_update",
        "momentum_update",
        "adam_update",
        "rmsprop_update",
        "ema_update",
        "assign",
        "assign_add",
    )
}


def update(name, inputs, variables, **attrs):
    """Apply an update to variables; at the end of the run when something records.

    Args:
        name: a key of UPDATES, an operation of csrc/include/cnn/update.h.
        inputs: tensors in the order of the operation's inputs.
        variables: the Variables behind its arrow, changed in place.
        attrs: fields of the descriptor other than count.
    """
    op = UPDATES[name]
    if CONTEXT.tracer is not None:
        CONTEXT.tracer.update(op, inputs, variables, **attrs)
        return
    fields = op.fields([spec_of(x) for x in inputs], [v.spec for v in variables], attrs)
    CALLS[CONFIG.backend](name, fields, [to_array(x) for x in inputs], [v.writable() for v in variables])
    for variable in variables:
        variable.touched()
