"""ONNX Runtime."""

import numpy as np
import onnxruntime

from bench.peers.graph import INPUT

FILE = "network.onnx"


def prepare(folder):
    from bench.peers import onnx_export  # not needed to run, and it would count in memory

    onnx_export.prepare(folder)


def predictor(folder, x, threads, variant):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("N", len(x))
    session = onnxruntime.InferenceSession(folder / FILE, options, providers=["CPUExecutionProvider"])
    feeds = {INPUT: np.ascontiguousarray(x.transpose(0, 3, 1, 2))}
    return lambda: session.run(None, feeds)[0]
