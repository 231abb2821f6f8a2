"""Settings of the process: implementation, ISA level, threads, defaults of Keras's backend module.

`epoch` counts changes of what programs are built for, so that those made before are not used after one.
"""

import os
import threading
import warnings

from cnnengine.core.errors import ConfigError

MAX_THREADS = 256
BACKENDS = ("native", "reference")
CONV_ALGORITHMS = ("auto", "direct", "winograd")


def _cgroup_cpus():
    """CPUs that the cgroup's quota allows, or None: cgroup v2's cpu.max, else v1's cfs files."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()[:2]
    except (OSError, ValueError):
        try:
            with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file:
                quota = file.read().strip()
            with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as file:
                period = file.read().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return max(1, -(-int(quota) // int(period)))


def _available_cpus():
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _cgroup_cpus() or affinity)


def _default_threads():
    """OMP_NUM_THREADS when it is a sensible number, else the CPUs this process may use."""
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if text:
        if text.isdecimal() and 1 <= int(text) <= MAX_THREADS:
            return int(text)
        warnings.warn(
            f"OMP_NUM_THREADS must be a number from 1 to {MAX_THREADS}. Received: {text!r}; "
            f"using {_available_cpus()}, the CPUs this process may use.",
            RuntimeWarning,
        )
    return min(_available_cpus(), MAX_THREADS)


def _default_conv_algorithm():
    """CNNENGINE_CONV_ALGO when it names one, else "auto"."""
    name = os.environ.get("CNNENGINE_CONV_ALGO", "").strip().lower() or "auto"
    if name in CONV_ALGORITHMS:
        return name
    warnings.warn(
        f"CNNENGINE_CONV_ALGO must be one of {CONV_ALGORITHMS}. Received: {name!r}; using auto.", RuntimeWarning
    )
    return "auto"


class _Config:
    def __init__(self):
        self.backend = "native"
        self.epoch = 0
        self.epsilon = 1e-7
        self.image_data_format = "channels_last"
        self.conv_algorithm = _default_conv_algorithm()
        self._threads = None

    @property
    def threads(self):
        if self._threads is None:
            self._threads = _default_threads()
        return self._threads


CONFIG = _Config()
LOCK = threading.RLock()


def set_num_threads(count):
    """Use `count` threads from now on. Results do not depend on it. Raises ConfigError."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_THREADS:
        raise ConfigError(f"num_threads must be an int from 1 to {MAX_THREADS}. Received: {count!r}")
    CONFIG._threads = count


def get_num_threads():
    """Threads that programs run on."""
    return CONFIG.threads


def set_backend(name):
    """Choose the implementation of all operations: "native" (C) or "reference" (NumPy). Raises ConfigError."""
    if name not in BACKENDS:
        raise ConfigError(f"backend must be one of {BACKENDS}. Received: {name!r}")
    CONFIG.backend = name
    CONFIG.epoch += 1


def set_conv_algorithm(name):
    """How convolutions that Winograd's algorithm fits are computed: "auto" (by shape), "direct" or "winograd".

    The environment variable CNNENGINE_CONV_ALGO does the same at import.

    Raises:
        ConfigError.
    """
    if name not in CONV_ALGORITHMS:
        raise ConfigError(f"conv_algorithm must be one of {CONV_ALGORITHMS}. Received: {name!r}")
    CONFIG.conv_algorithm = name
    CONFIG.epoch += 1


def backend():
    """Name of the implementation in use."""
    return CONFIG.backend


def floatx():
    """The float type of computation: always "float32"."""
    return "float32"


def set_floatx(value):
    """Accepted for Keras's sake. Raises ConfigError for anything but "float32"."""
    if value != "float32":
        raise ConfigError(f"floatx must be 'float32', what the kernels compute. Received: {value!r}")


def epsilon():
    """The fuzz factor of numeric expressions, 1e-7 by default."""
    return CONFIG.epsilon


def set_epsilon(value):
    """Set the fuzz factor. Raises ConfigError."""
    if not isinstance(value, float) or not 0 < value < 1:
        raise ConfigError(f"epsilon must be a float between 0 and 1. Received: {value!r}")
    CONFIG.epsilon = value


def image_data_format():
    """Default of the layers' `data_format`: "channels_last" unless set otherwise."""
    return CONFIG.image_data_format


def set_image_data_format(data_format):
    """Set the default of the layers' `data_format`. Raises ConfigError."""
    CONFIG.image_data_format = standardize_data_format(data_format)


def standardize_data_format(data_format):
    """The given format, or the default for None. Raises ConfigError."""
    if data_format is None:
        return CONFIG.image_data_format
    if data_format not in ("channels_last", "channels_first"):
        raise ConfigError(f"data_format must be 'channels_last' or 'channels_first'. Received: {data_format!r}")
    return data_format
