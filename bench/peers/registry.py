"""Who is compared: one line a peer, or one for each way of using it."""

from dataclasses import dataclass
from importlib.util import find_spec

OURS = "cnnengine"


@dataclass(frozen=True)
class Peer:
    """A way to run the networks.

    Args:
        module: in this folder, with `predictor`, `trainer` if it trains, `prepare` if it needs files of its own.
            prepare(folder): write them, made from what with_cnnengine.prepare wrote.
            predictor(folder, x, threads, variant): a function without arguments that predicts x (n, h, w, c) again and
                again and returns the array (n, classes).
            trainer(folder, x, y, threads, variant, optimizer): a function without arguments that takes a training step
                on this batch and returns its loss.
        packages: what must be importable.
        install: how to get them.
        variant: handed to predictor and trainer.
        tasks: what it takes part in: "predict", "train".
    """

    module: str
    packages: tuple
    install: str
    variant: str = ""
    tasks: frozenset = frozenset({"predict"})

    def missing(self):
        """The packages that are not installed."""
        return [name for name in self.packages if find_spec(name) is None]


BOTH = frozenset({"predict", "train"})
TORCH = "with_torch", ("torch",), "pip install torch (bench/peers/README.md says which build)"
TENSORFLOW = "with_keras", ("keras", "tensorflow"), "pip install tensorflow keras"


PEERS = {
    OURS: Peer("with_cnnengine", ("cnnengine",), "pip install -e .", tasks=BOTH),
    "torch": Peer(*TORCH, "eager", BOTH),
    "torch-nhwc": Peer(*TORCH, "channels-last", BOTH),
    "torch-jit": Peer(*TORCH, "jit-frozen"),
    "torch-compile": Peer(*TORCH, "compiled", BOTH),
    "onnxruntime": Peer("with_onnxruntime", ("onnx", "onnxruntime"), "pip install onnx onnxruntime"),
    "openvino": Peer("with_openvino", ("onnx", "openvino"), "pip install onnx openvino"),
    "ncnn": Peer("with_ncnn", ("ncnn", "pnnx", "torch"), "pip install ncnn pnnx, and torch"),
    "litert": Peer("with_litert", ("ai_edge_litert", "tensorflow"), "pip install ai-edge-litert tensorflow"),
    "tensorflow": Peer(*TENSORFLOW, "graph", BOTH),
    "tensorflow-xla": Peer(*TENSORFLOW, "xla", BOTH),
}

# Minutes of compiling large networks, which then are slower than TensorFlow's graph. Only on request.
SLOW = ("tensorflow-xla",)
DEFAULT = [name for name in PEERS if name not in SLOW]
