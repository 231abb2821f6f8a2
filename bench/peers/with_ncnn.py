"""ncnn, its files made by pnnx from PyTorch's network."""

import ncnn
import numpy as np

PARAM, BIN = "network.ncnn.param", "network.ncnn.bin"


def prepare(folder):
    import pnnx
    import torch

    from bench.peers import with_torch

    with_torch.prepare(folder)
    module = with_torch.network(folder)
    height, width, channels = with_torch.Graph.load(folder).shape
    pnnx.export(module, str(folder / "network.pt"), torch.zeros(1, channels, height, width), fp16=False)


def predictor(folder, x, threads, variant):
    """It has no batches: pictures are taken one after the other."""
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    if net.load_param(str(folder / PARAM)) or net.load_model(str(folder / BIN)):
        raise OSError(f"ncnn cannot read {folder / PARAM}")
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    pictures = [ncnn.Mat(one).clone() for one in x]  # a Mat of an array does not keep that alive
    return lambda: np.stack([_predict(net, picture) for picture in pictures])


def _predict(net, picture):
    extractor = net.create_extractor()
    extractor.input("in0", picture)
    return np.array(extractor.extract("out0")[1])
