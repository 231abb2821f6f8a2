"""One step of a native program: what C is told to do, and what people are told about it."""

from dataclasses import dataclass

from cnnengine.ops.base import Op


@dataclass(frozen=True, slots=True)
class Step:
    """An operation with everything that a run and a profile need to know of it.

    Args:
        op: its record.
        fields: its descriptor.
        refs: where its buffers lie; see _native.runtime.Program.
        inputs: TensorSpecs, None for an absent input.
        outputs: TensorSpecs; of an update, those of the variables it changes.
        origins: as of the node behind it; see graph.Node.
        rounds: how often it runs in a run of the program, each time for another piece of the batch.
    """

    op: Op
    fields: dict
    refs: list
    inputs: tuple
    outputs: tuple
    origins: tuple
    rounds: int = 1

    @property
    def flops(self):
        """Multiplications and additions of the definition; 0 where moving data is all the work."""
        return self.rounds * self.op.flops(self.fields)

    @property
    def nbytes(self):
        """Bytes read and written, each buffer once."""
        return self.rounds * self.op.bytes_moved(self.inputs, self.outputs, self.fields)

    @property
    def elements(self):
        """Elements read and written."""
        return self.rounds * sum(spec.size for spec in (*self.inputs, *self.outputs) if spec is not None)
