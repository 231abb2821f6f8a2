"""A pointwise, a depthwise and a pointwise convolution as one operation, which keeps few rows of what is in between.

Nobody calls it: `graph.passes.join_depthwise_blocks` puts it in place of the three.

Attributes of the record: `expand`, `depthwise` and `project` are those of the three; the first may be None.
"""

from cnnengine.core.naming import without_prefix
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, register, with_first
from cnnengine.ops.conv2d import CONV2D_FWD, DEPTHWISE_FWD


def _infer(ins, attrs):
    return CONV2D_FWD.infer(ins, attrs["project"])


def _parts(ins, attrs):
    """The fields of the three by the part's name; of an expansion that is not there all are 0."""
    project = CONV2D_FWD.fields(ins, [], attrs["project"])
    wide = TensorSpec((*ins[0].shape[:3], attrs["project"]["x_shape"][-1]))
    return {
        "expand": CONV2D_FWD.fields(ins, [], attrs["expand"]) if attrs["expand"] else dict.fromkeys(project, 0),
        "depthwise": DEPTHWISE_FWD.fields([wide, ins[3]], [], attrs["depthwise"]),
        "project": project,
    }


def _fields(ins, outs, attrs):
    fields = {"expands": int(attrs["expand"] is not None)}
    for part, of_part in _parts(ins, attrs).items():
        fields |= {f"{part}_{name}": value for name, value in of_part.items()}
    return fields


def _flops(fields):
    expand = CONV2D_FWD.flops(without_prefix(fields, "expand_")) if fields["expands"] else 0
    depthwise = DEPTHWISE_FWD.flops(without_prefix(fields, "depthwise_"))
    return expand + depthwise + CONV2D_FWD.flops(without_prefix(fields, "project_"))


def _for_samples(attrs, n):
    def change(part):
        return with_first("x_shape")(attrs[part], n) if attrs[part] else None

    return attrs | {"expand": change("expand"), "project": change("project")}


DEPTHWISE_BLOCK_FWD = register(
    "depthwise_block_fwd", _infer, _fields, flops=_flops, by_sample=along_samples(0, 7, change=_for_samples)
)
