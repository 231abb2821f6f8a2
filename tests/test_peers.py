"""The comparison with other engines (bench/peers): the same network everywhere, processes, ratios, tables."""

import json
import sys

import numpy as np
import pytest

import cnnengine as keras
from bench.peers import __main__ as command_line
from bench.peers import networks, table
from bench.peers.graph import INPUT, Graph, describe
from bench.peers.networks import NETWORKS
from bench.peers.processes import PeerError, Process
from bench.peers.registry import OURS, PEERS, Peer
from bench.peers.run import Job, jobs_of
from bench.peers.with_cnnengine import _set_weights
from bench.peers.worker import Worker, batch_of, serve
from cnnengine import ops
from tests.support.keras_oracle import import_keras

layers = keras.layers


def every_kind():
    """A small network with all that the large ones are made of."""
    x = inputs = keras.Input((18, 18, 3))
    x = networks._conv_norm(keras, x, 8, 7, 2)
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    y = layers.ReLU(6.0)(networks._conv_norm(keras, x, 16, 1, relu=False))
    y = layers.Activation("swish")(networks._depthwise_norm(keras, y, 3, 2))
    y = layers.DepthwiseConv2D(3, padding="same")(y)
    factors = layers.Conv2D(4, 1, activation="swish")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, layers.Conv2D(16, 1, activation="sigmoid")(factors)])
    y = networks._conv_norm(keras, y, 12, 3, relu=False)
    x = networks._residual(keras, x, y, 12, 2)
    x = layers.Conv2D(6, 3, padding="same", groups=3, activation="relu")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dense(7)(x)))


SMALL = {"every kind": every_kind, "pooled": lambda: networks.resnet20(keras), "cnn": lambda: networks.mnist_cnn(keras)}


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    """A model with weights, its graph, a batch and what the model makes of it."""
    model = SMALL[request.param]()
    _set_weights(model, np.random.default_rng(1))
    x, _ = batch_of(model.inputs[0].shape[1:], 3, 1)
    return describe(model), x, model.predict_on_batch(x)


def close(given, expected):
    np.testing.assert_allclose(given, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


# --- networks and their graphs --------------------------------------------------------------------


COUNTS = {"mlp": 669_706, "mobilenetv2": 3_538_984, "efficientnetb0": 5_330_564, "resnet50": 25_610_152}


@pytest.mark.parametrize("name, count", COUNTS.items())
def test_networks_have_the_weights_they_should(name, count):
    assert NETWORKS[name].build(keras).count_params() == count


def test_networks_run_on_keras_as_they_are(monkeypatch):
    oracle = import_keras()
    # Random weights are not looked at, and jax compiles for each shape of them.
    zeros = lambda self, shape, dtype=None, **more: np.zeros(shape, np.float32)  # noqa: E731
    monkeypatch.setattr(oracle.initializers.GlorotUniform, "__call__", zeros)
    for name in ("mnist", "resnet20", "mobilenetv2", "efficientnetb0"):
        theirs, ours = NETWORKS[name].build(oracle), NETWORKS[name].build(keras)
        assert [w.shape for w in theirs.weights] == [w.shape for w in ours.weights]
        assert [type(x).__name__ for x in theirs.layers] == [type(x).__name__ for x in ours.layers]


def evaluate(graph, x):
    """The graph by cnnengine's operations on arrays, one after the other."""
    values = {INPUT: x}
    for node in graph.nodes:
        inputs, w, attrs = [values[name] for name in node.inputs], node.weights, node.attrs
        values[node.name] = EVALUATE[node.op](w, attrs, *inputs)
    return values[graph.nodes[-1].name]


def _padded(x, attrs, value=0.0):
    p, q = attrs["padding"]
    return np.pad(x, ((0, 0), (p, p), (q, q), (0, 0)), constant_values=value)


def _conv(w, attrs, x):
    y = ops.conv(_padded(x, attrs), w["kernel"], attrs["strides"], "valid")
    return y + w.get("bias", 0)


def _batch_norm(w, attrs, x):
    return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + attrs["epsilon"]) * w["gamma"] + w["beta"]


EVALUATE = {
    "conv": _conv,
    "batch_norm": _batch_norm,
    "dense": lambda w, a, x: x @ w["kernel"] + w["bias"],
    "relu": lambda w, a, x: np.maximum(x, 0),
    "relu6": lambda w, a, x: np.clip(x, 0, 6),
    "swish": lambda w, a, x: x * ops.sigmoid(x),
    "sigmoid": lambda w, a, x: ops.sigmoid(x),
    "softmax": lambda w, a, x: ops.softmax(x),
    "max_pool": lambda w, a, x: ops.max_pool(_padded(x, a, -np.inf), a["size"], a["strides"]),
    "global_average_pool": lambda w, a, x: x.mean((1, 2), keepdims=a["keepdims"]),
    "flatten": lambda w, a, x: x.reshape(len(x), -1),
    "dropout": lambda w, a, x: x,
    "add": lambda w, a, x, y: x + y,
    "multiply": lambda w, a, x, y: x * y,
}


def test_the_graph_is_the_model_also_from_its_file(small, tmp_path):
    graph, x, expected = small
    close(evaluate(graph, x), expected)
    graph.save(tmp_path)
    close(evaluate(Graph.load(tmp_path), x), expected)


def test_onnx_is_the_model(small):
    onnx = pytest.importorskip("onnx", reason="pip install onnx")
    from onnx.reference import ReferenceEvaluator

    from bench.peers.onnx_export import to_onnx

    graph, x, expected = small
    model = to_onnx(graph)
    onnx.checker.check_model(model, full_check=True)
    close(ReferenceEvaluator(model).run(None, {INPUT: x.transpose(0, 3, 1, 2)})[0], expected)


@pytest.fixture
def with_torch():
    torch = pytest.importorskip("torch", reason="pip install torch")
    from bench.peers import with_torch

    threads = torch.get_num_threads()
    yield with_torch
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)  # with_torch sets it, as a worker has its process for itself


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torch_is_the_model(with_torch, small, tmp_path):
    graph, x, expected = small
    graph.save(tmp_path)
    with_torch.prepare(tmp_path)
    for variant in ("eager", "channels-last", "jit-frozen"):
        close(with_torch.predictor(tmp_path, x, 1, variant)(), expected)


@pytest.mark.parametrize(
    "chain, message",
    [
        ([layers.Conv2D(2, 3, strides=2, padding="same")], "symmetric"),
        ([layers.ZeroPadding2D(1), layers.MaxPooling2D(2)], "cannot be part"),
        ([layers.ZeroPadding2D(1), layers.Conv2D(2, 3, padding="same")], "cannot be part"),
        ([layers.Conv2D(2, 3, activation="tanh")], "activation"),
        ([layers.AveragePooling2D(2)], "AveragePooling2D"),
    ],
)
def test_describe_refuses_what_the_nodes_cannot_say(chain, message):
    with pytest.raises(ValueError, match=message):
        describe(keras.Sequential([keras.Input((8, 8, 2)), *chain]))


# --- processes ------------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory from /proc, signals of Linux")


@linux
def test_a_peer_in_a_process_of_its_own(tmp_path):
    job = {"shape": NETWORKS["mnist"].shape, "classes": 10, "batch": 2, "threads": 1}
    with Process(OURS, 1, tmp_path / "log") as process:
        assert process.ask("versions") == {"cnnengine": keras.__version__}
        process.ask("prepare", folder=str(tmp_path), name="mnist")
        process.ask("predict", folder=str(tmp_path), **job)
        for _ in range(2):  # the first writes what the second is compared with
            assert process.ask("check", path=str(tmp_path / "results.npy")) == {"difference": 0}
        times = process.ask("time", seconds=0.01)["times"]
        assert times and min(times) > 0
        assert 10e6 < process.ask("memory")["peak"] < 1e9
        process.ask("train", folder=str(tmp_path), optimizer="adam", **job)
        assert process.ask("time", seconds=0)["times"]
        with pytest.raises(PeerError, match="do_dance"):
            process.ask("dance")
        process.ask("memory")  # an error does not end it
        process._process.kill()
        with pytest.raises(PeerError, match="died"):
            process.ask("memory")


@linux
def test_a_peer_that_does_not_answer_is_ended(tmp_path):
    with Process(OURS, 1, tmp_path / "log", timeout=0.01) as process, pytest.raises(PeerError, match="no answer"):
        process.ask("versions")


class Lines(list):
    """A stream that keeps what is written."""

    write = list.append

    def flush(self):
        pass


def test_replies_are_lines_of_json(tmp_path):
    worker, replies = Worker(Peer("none", (), "")), Lines()
    path = tmp_path / "results.npy"
    np.save(path, np.full((3, 2), 4.0))
    worker._start(lambda: np.array([4.0, 3.0]))
    requests = [{"do": "check", "path": str(path)}, {"do": "time", "seconds": 0}, {"do": "prepare", "folder": "x"}]
    serve(worker, map(json.dumps, requests), replies)
    check, time, prepare = map(json.loads, replies)
    assert check == {"difference": 0.25} and len(time["times"]) == 1
    assert prepare == {"error": "ModuleNotFoundError: No module named 'bench.peers.none'"}
    assert all(line.endswith("\n") for line in replies)


@pytest.mark.parametrize("result", [np.zeros(5), np.array([np.nan, 1.0])])
def test_results_of_another_network_are_refused(result, tmp_path):
    worker, path = Worker(Peer("none", (), "")), tmp_path / "results.npy"
    np.save(path, np.ones((3, 2)))
    worker._start(lambda: result)
    assert "Expected finite numbers of shape (3, 2)" in worker.answer({"do": "check", "path": str(path)})["error"]


# --- ratios and tables ----------------------------------------------------------------------------


def _entry(ms, megabytes, first):
    return {"min": ms / 1e3, "memory": megabytes * 1e6, "first": first}


JOBS = [
    {
        "network": "resnet50",
        "task": "predict",
        "batch": 1,
        "peers": {OURS: _entry(20, 200, 0.3), "onnxruntime": _entry(40, 500, 0.6), "torch-jit": _entry(50, 400, 2.0)},
    },
    {
        "network": "mobilenetv2",
        "task": "predict",
        "batch": 1,
        "peers": {OURS: _entry(4, 100, 0.2), "onnxruntime": _entry(8, 50, 0.1), "litert": _entry(2, 80, 0.2)},
    },
    {"network": "mlp", "task": "train", "batch": 128, "peers": {OURS: _entry(0.004, 60, 0.2)}},
]


def test_ratios_are_ours_in_parts_of_the_best_peer():
    first, second, alone = JOBS
    assert [table.ratio(first, key) for key in table.KEYS] == pytest.approx([0.5, 0.5, 0.5])
    assert [table.ratio(second, key) for key in table.KEYS] == pytest.approx([2, 2, 2])
    assert table.best_peer(second, "min") == ("litert", 0.002) and table.best_peer(second, "first")[0] == "onnxruntime"
    assert table.ratio(alone, "min") is None and table.best_peer(alone, "min") is None
    assert table.ratio({"peers": {"torch": _entry(1, 1, 1)}}, "min") is None
    assert list(table.means(JOBS)) == ["Geometric mean, batch 1: time 1.00, memory 1.00, first result 1.00"]


def _cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_is_markdown_that_fits_a_terminal():
    lines = table.comparison(JOBS)
    assert len(lines) == 2 + len(JOBS) and {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= table.WIDTH
    assert _cells(lines[0]) == table.HEAD
    assert _cells(lines[2]) == "ResNet-50|batch 1|20|40 onnxruntime|0.50|200|400|0.50|0.3|0.6|0.50".split("|")
    assert _cells(lines[4]) == "MLP|train 128|0.0040|||60|||0.2||".split("|")


def test_details_have_a_column_for_each_peer():
    lines = table.details(JOBS, "memory")
    assert _cells(lines[0]) == ["network", "MB", OURS, "onnxruntime", "torch-jit", "litert"]
    assert _cells(lines[3]) == ["MobileNetV2", "batch 1", "100", "50", "", "80"]


# --- command line ---------------------------------------------------------------------------------


def test_jobs_cover_what_is_asked():
    assert list(jobs_of(["mnist"], ["predict", "train"])) == [
        Job("mnist", "predict", 1), Job("mnist", "predict", 32), Job("mnist", "train", 128),
    ]  # fmt: skip
    assert list(jobs_of(["mlp", "vgg16"], ["train"])) == [Job("mlp", "train", 128)]


def test_missing_peers_are_left_out_and_how_to_get_them_is_said(monkeypatch):
    monkeypatch.setitem(PEERS, "ncnn", Peer("with_ncnn", ("json", "no_such_package"), "pip install ncnn"))
    names, left_out = command_line.chosen_peers(["ncnn"])
    assert names == [OURS] and left_out == {"ncnn": "not installed: pip install ncnn"}


@linux
def test_a_run_writes_json_and_prints_the_table(tmp_path, capsys):
    path = str(tmp_path / "results.json")
    options = ["-n", "mnist", "-t", "predict", "-p", OURS, "-r", "2", "-s", "0.01", "-j", "1"]
    command_line.main([*options, "-o", path])
    printed = capsys.readouterr()
    assert "| MNIST CNN | batch 32 |" in printed.out and "round 2 of 2, cnnengine" in printed.err
    assert printed.err.count("predict 32: cnnengine starts") == 2
    entry = json.loads((tmp_path / "results.json").read_text())["jobs"][0]["peers"][OURS]
    assert entry["difference"] == 0 and len(entry["rounds"]) == 2 and entry["min"] <= entry["median"] < entry["first"]
    command_line.main(["--show", path])
    assert capsys.readouterr().out == printed.out


def test_the_command_line_refuses_nonsense(capsys):
    for options in (["-n", "lenet"], ["-r", "0"], ["-s", "-1"], ["--starts", "0"]):
        with pytest.raises(SystemExit):
            command_line.main(options)
    assert "must be positive" in capsys.readouterr().err
