"""OpenVINO, told to compute in float32 (it would take bfloat16 where the CPU has it)."""

import numpy as np
import openvino

FILE = "openvino.xml"


def prepare(folder):
    """OpenVINO's own files, which load faster than ONNX."""
    from bench.peers import onnx_export  # not needed to run, and it would count in memory

    onnx_export.prepare(folder)
    # Not convert_model: that leaves a process behind which reports its use.
    openvino.save_model(openvino.Core().read_model(folder / onnx_export.FILE), folder / FILE, compress_to_fp16=False)


def predictor(folder, x, threads, variant):
    core = openvino.Core()
    model = core.read_model(folder / FILE)
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    model.reshape(x.shape)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    given = openvino.Tensor(x, shared_memory=True)  # of x, which lives as long as run does

    def run():
        request.set_input_tensor(given)
        request.infer()
        return request.get_output_tensor().data

    return run
