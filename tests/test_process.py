"""What a process may do to the engine and the engine to a process; each test runs a Python of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork, signals and limits of Linux")


def python(code, *options, timeout=60, **environment):
    """Run code in a fresh interpreter; its completed process."""
    env = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "CNNENGINE_ISA")}
    path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *options, "-c", textwrap.dedent(code)],
        cwd=ROOT, env=env | {"PYTHONPATH": path} | environment, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


def succeeds(code, *options, **environment):
    """What the code printed, once it has ended well."""
    done = python(code, *options, **environment)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return done.stdout.split()


# A product that two threads share, and its checksum.
PRODUCT = """
import os, numpy as np
from cnnengine import ops
from cnnengine.core.config import set_num_threads, get_num_threads
set_num_threads(2)
x = np.arange(300 * 300, dtype=np.float32).reshape(300, 300) % 7
def product():
    y = ops.matmul(x, x)
    assert (y == x.astype(np.float64) @ x).all()
"""


def test_fork_after_use_works_in_child_and_parent():
    code = """
    product()
    for depth in range(3):
        child = os.fork()
        if child == 0:
            for _ in range(3):
                product()
            if depth == 1 and os.fork() == 0:
                product()
            os._exit(0)
        product()
        assert os.waitpid(child, 0)[1] == 0
    product()
    """
    succeeds(PRODUCT + textwrap.dedent(code))


def test_fork_before_use_works():
    code = """
    child = os.fork()
    product()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    succeeds(PRODUCT + textwrap.dedent(code))


def test_a_pool_of_forked_workers():
    code = """
    import multiprocessing
    def work(i):
        product()
        return float(ops.sum(ops.matmul(x, x + i)))
    product()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map_async(work, range(9)).get(50)
    assert found == [work(i) for i in range(9)]
    """
    succeeds(PRODUCT + textwrap.dedent(code))


# A program of many steps that takes some seconds, and updates a variable at its end.
LONG = """
import os, signal, threading, time, numpy as np
from cnnengine import ops
from cnnengine.core.config import set_num_threads
from cnnengine.core.spec import TensorSpec
from cnnengine.core.variable import Variable
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.trace import trace
from cnnengine.ops.update import update
v, w = Variable(np.ones((512, 512))), Variable(np.full(3, 5.0))
def step(tracer, x):
    for _ in range(3000):
        x = ops.tanh(ops.matmul(x, v))
    v.assign(x)
    update("sgd_update", [np.ones(3), np.ones(1)], [w])
    return [x]
program = NativeProgram(trace(step, [TensorSpec((512, 512))]).graph)
x = np.ones((512, 512), np.float32)
def interrupted():
    '''Seconds from the signal to the exception.'''
    started = time.perf_counter()
    try:
        program.run([x])
    except KeyboardInterrupt:
        return time.perf_counter() - started - 0.3
    raise SystemExit("was not interrupted")
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_is_heeded_and_leaves_variables_as_they_were(threads):
    code = f"""
    set_num_threads({threads})
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the parent may have told it to ignore
    versions = v.version, w.version
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    assert interrupted() < 1
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    assert interrupted() < 1
    assert (v.numpy() == 1).all() and (w.numpy() == 5).all() and versions == (v.version, w.version)
    assert ops.sum(ops.matmul(x, x)) == 512**3  # the engine goes on
    """
    succeeds(LONG + textwrap.dedent(code))


def test_an_interrupt_among_the_updates_waits_until_all_are_done():
    code = """
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    large = Variable(np.zeros(1 << 22))
    def step(tracer):
        for _ in range(200):
            update("assign_add", [ones], [large])
        return []
    ones = Variable(np.ones(1 << 22))
    program = NativeProgram(trace(step, []).graph)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        while True:
            program.run([])
    except KeyboardInterrupt:
        assert large.numpy().min() == large.numpy().max() and large.numpy().max() % 200 == 0
    """
    succeeds(LONG + textwrap.dedent(code))


def test_an_exception_of_a_signal_handler_comes_through():
    code = """
    class Stop(Exception):
        pass
    def handler(*_):
        raise Stop
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        program.run([x])
    except Stop:
        print("stopped")
    """
    assert succeeds(LONG + textwrap.dedent(code)) == ["stopped"]


def test_other_python_threads_run_meanwhile():
    code = """
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    ticks, ended = [], threading.Event()
    def tick():
        while not ended.wait(0.01):
            ticks.append(time.perf_counter())
    threading.Thread(target=tick, daemon=True).start()
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    interrupted()
    ended.set()
    print(len(ticks))
    """
    assert int(succeeds(LONG + textwrap.dedent(code))[0]) > 10


def test_denormals_are_flushed_inside_and_kept_outside():
    code = """
    import numpy as np
    tiny = np.full(64, 1e-39, np.float32)
    def exact():
        assert (tiny * np.float32(0.5) > 0).all() and (tiny + tiny > tiny).all() and 5e-324 * 1.0 > 0
    exact()
    from cnnengine import ops
    from cnnengine.core.config import set_num_threads
    exact()  # importing changes nothing
    for threads in (1, 2):
        set_num_threads(threads)
        assert (ops.multiply(tiny, 1e10) == 0).all() and (ops.add(tiny, tiny) == 0).all()
        ops.matmul(np.ones((400, 400)), np.ones((400, 400)))
        exact()
    try:
        ops.add(np.ones(2), np.ones(3))
    except ValueError:
        exact()
    """
    succeeds(code)


def test_rounding_of_the_caller_changes_no_bit():
    code = """
    import ctypes, numpy as np
    from cnnengine import ops
    x = (np.arange(9999, dtype=np.float32) + 1) / 7
    expected = ops.exp(ops.multiply(x, -1e-3))
    ctypes.CDLL("libm.so.6").fesetround(0x800)  # upwards
    assert (ops.exp(ops.multiply(x, -1e-3)) == expected).all()
    assert ctypes.CDLL("libm.so.6").fegetround() == 0x800
    """
    succeeds(code)


THREADS = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from cnnengine import ops
    from cnnengine.core.config import get_num_threads, CONFIG
    count = get_num_threads()
    ops.add(1.0, 2.0), get_num_threads()
print(count, *[w.category.__name__ for w in caught if "OMP_NUM_THREADS" in str(w.message)])
"""


@pytest.mark.parametrize("text", ["garbage", "0", "-2", "10000", "1e3", "\N{SUPERSCRIPT TWO}", "3.5"])
def test_a_senseless_number_of_threads_is_named_once(text):
    count, *warned = succeeds(THREADS, OMP_NUM_THREADS=text)
    assert 1 <= int(count) <= len(os.sched_getaffinity(0))
    assert warned == ["RuntimeWarning"]


@pytest.mark.parametrize(("text", "expected"), [("3", "3"), (" 2 ", "2"), ("2,4", "2"), ("256", "256")])
def test_a_number_of_threads_is_taken(text, expected):
    assert succeeds(THREADS, OMP_NUM_THREADS=text) == [expected]


def test_threads_beyond_the_limit_of_the_system_do_no_harm():
    code = """
    set_num_threads(200)
    for _ in range(3):
        product()
    """
    succeeds(PRODUCT + textwrap.dedent(code))


ISA = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from cnnengine import _native, ops
print(_native.get_isa(), _native.isa_levels()[-1], float(ops.add(1.0, 2.0)), len(caught))
"""


@pytest.mark.parametrize(("text", "warned"), [("bogus", "1"), ("", "0"), (" Generic ", "0")])
def test_the_isa_of_the_environment(text, warned):
    isa, best, total, count = succeeds(ISA, CNNENGINE_ISA=text)
    assert isa == ("generic" if "eneric" in text else best) and (total, count) == ("3.0", warned)


def test_too_little_memory_is_an_error_of_python():
    code = """
    import resource, numpy as np
    from cnnengine import ops
    from cnnengine.core.config import set_num_threads
    from cnnengine.core.spec import TensorSpec
    from cnnengine.core.variable import Variable
    from cnnengine.engine.program import NativeProgram
    from cnnengine.graph.trace import trace
    set_num_threads(2)
    ops.matmul(np.ones((300, 300)), np.ones((300, 300)))
    def two_large_values(tracer, x):
        return [ops.sum(ops.matmul(ops.repeat(x, 20000, 0), ops.repeat(x, 20000, 1)))]
    program = NativeProgram(trace(two_large_values, [TensorSpec((1, 1))]).graph)
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
    calls = [
        lambda: ops.zeros((1 << 30,)),
        lambda: Variable.zeros((1 << 30,)),
        lambda: Variable.zeros((1 << 62,)),
        lambda: ops.matmul(np.ones((20000, 1), np.float32), np.ones((1, 20000), np.float32)),
        lambda: program.run([np.ones((1, 1), np.float32)]),
        lambda: ops.conv(np.ones((1, 1000, 1000, 1), np.float32), np.ones((3, 3, 1, 200), np.float32)),
    ]
    for call in calls * 2:
        try:
            call()
        except MemoryError:
            print("MemoryError")
    assert ops.sum(ops.matmul(np.ones((300, 300)), np.ones((300, 300)))) == 300**3
    """
    assert succeeds(code) == ["MemoryError"] * 12


def test_without_assertions():
    code = """
    import numpy as np
    from cnnengine import ops
    from cnnengine.core.errors import ShapeError
    if ops.sum(ops.conv(np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 4)))) != 9 * 18 * 4:
        raise SystemExit("wrong result")
    try:
        ops.conv(np.ones((1, 5, 5, 2)), np.ones((3, 3, 3, 4)))
    except ShapeError:
        print("checked")
    """
    assert succeeds(code, "-O") == succeeds(code, "-OO") == ["checked"]


def test_use_from_many_threads_at_exit():
    code = """
    import threading
    def forever():
        while True:
            ops.matmul(x, x)  # nothing of NumPy's BLAS, which may hang here by itself
    for _ in range(4):
        threading.Thread(target=forever, daemon=True).start()
    product()
    print("left")
    """
    assert succeeds(PRODUCT + textwrap.dedent(code)) == ["left"]
