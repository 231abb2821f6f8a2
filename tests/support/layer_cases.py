"""Layers with arguments and inputs: the cases of the contract that every layer keeps."""

from dataclasses import dataclass, field

import numpy as np

from cnnengine import layers


@dataclass(frozen=True)
class LayerCase:
    """One layer made in one way.

    Args:
        name: of the class, the same in Keras.
        kwargs: arguments of the class.
        shapes: of the inputs, without the batch; several for a layer that takes a list.
        wrong: shape without the batch that the layer must refuse; None when it takes any.
    """

    name: str
    kwargs: dict = field(default_factory=dict)
    shapes: tuple = ((5,),)
    wrong: tuple = None

    @property
    def id(self):
        text = ",".join(f"{key}={value}" for key, value in self.kwargs.items())
        return f"{self.name}({text})".replace(" ", "")

    def make(self, **more):
        return getattr(layers, self.name)(**self.kwargs, **more)

    def inputs(self, batch=3, seed=0):
        """What the layer is called with: an array, or a list of them."""
        rng = np.random.default_rng(seed)
        arrays = [rng.normal(size=(batch, *shape)).astype(np.float32) for shape in self.shapes]
        return arrays if len(arrays) > 1 else arrays[0]

    def symbolic(self, batch=None):
        tensors = [layers.Input(shape, batch_size=batch) for shape in self.shapes]
        return tensors if len(tensors) > 1 else tensors[0]


def _cases(name, shapes, *kwargs, wrong=None):
    shapes = (shapes,) if isinstance(shapes[0], int) else shapes
    return [LayerCase(name, arguments, shapes, wrong) for arguments in kwargs or ({},)]


_WINDOWS_1D = [
    {}, {"padding": "same"}, {"strides": 3, "padding": "same"}, {"dilation_rate": 2},
    {"dilation_rate": 2, "padding": "same"},
]  # fmt: skip
_WINDOWS_2D = [
    {}, {"padding": "same"}, {"strides": 2, "padding": "same"}, {"strides": (1, 3)}, {"dilation_rate": (2, 1)},
]  # fmt: skip
_WINDOWS_3D = [
    {}, {"padding": "same"}, {"strides": 2, "padding": "same"}, {"strides": (1, 3, 2)}, {"dilation_rate": (2, 1, 2)},
]  # fmt: skip
_FIRST_3D = {"data_format": "channels_first"}
_POOLS = [{"pool_size": 2}, {"pool_size": 3, "strides": 2, "padding": "same"}, {"pool_size": 3, "strides": 1}]


def _with(base, options):
    return [{**base, **option} for option in options]


CASES = [
    *_cases(
        "Dense", (5,), {"units": 4}, {"units": 3, "use_bias": False, "activation": "relu"},
        {"units": 2, "kernel_initializer": "he_normal", "bias_initializer": "ones", "kernel_regularizer": "l2"},
        {"units": 2, "kernel_constraint": "max_norm", "activity_regularizer": "l1", "name": "own"}, wrong=(),
    ),
    *_cases("Dense", (2, 3, 5), {"units": 4, "activation": "softmax"}, wrong=()),
    *_cases("Conv1D", (11, 4), *_with({"filters": 6, "kernel_size": 3}, _WINDOWS_1D), wrong=(4,)),
    *_cases(
        "Conv1D", (11, 4), {"filters": 4, "kernel_size": 2, "padding": "causal", "dilation_rate": 3},
        {"filters": 4, "kernel_size": 4, "padding": "causal", "strides": 2},
        {"filters": 6, "kernel_size": 2, "groups": 2, "activation": "tanh"}, wrong=(4,),
    ),
    *_cases("Conv1D", (4, 11), {"filters": 6, "kernel_size": 3, "data_format": "channels_first"}, wrong=(4,)),
    *_cases("Conv2D", (9, 8, 4), *_with({"filters": 6, "kernel_size": 3}, _WINDOWS_2D), wrong=(9, 8)),
    *_cases(
        "Conv2D", (9, 8, 4), {"filters": 3, "kernel_size": (2, 4), "strides": (3, 2), "padding": "same"},
        {"filters": 3, "kernel_size": (4, 2), "padding": "same", "dilation_rate": 2},
        {"filters": 8, "kernel_size": 3, "groups": 2, "use_bias": False},
        {"filters": 8, "kernel_size": 3, "groups": 4, "activation": "relu", "padding": "same"},
        {"filters": 2, "kernel_size": 1, "kernel_regularizer": "l1", "bias_regularizer": "l2"},
        {"filters": 2, "kernel_size": (9, 8)}, wrong=(9, 8),
    ),
    *_cases(
        "Conv2D", (4, 9, 8), {"filters": 6, "kernel_size": 3, "data_format": "channels_first", "padding": "same"},
        {"filters": 6, "kernel_size": 3, "data_format": "channels_first", "groups": 2, "strides": 2}, wrong=(9, 8),
    ),
    *_cases(
        "Conv1DTranspose", (7, 4), *_with({"filters": 6, "kernel_size": 3}, _WINDOWS_1D),
        {"filters": 2, "kernel_size": 2, "strides": 3, "output_padding": 2, "use_bias": False}, wrong=(4,),
    ),
    *_cases("Conv2DTranspose", (5, 4, 3), *_with({"filters": 6, "kernel_size": 3}, _WINDOWS_2D), wrong=(5, 4)),
    *_cases(
        "Conv2DTranspose", (5, 4, 3), {"filters": 4, "kernel_size": 2, "strides": 2, "activation": "relu"},
        {"filters": 2, "kernel_size": (4, 3), "strides": (3, 2), "padding": "same", "output_padding": (0, 1)},
        {"filters": 2, "kernel_size": (4, 3), "strides": (3, 2), "output_padding": (2, 0), "use_bias": False},
        {"filters": 2, "kernel_size": 2, "strides": 3, "kernel_regularizer": "l1"}, wrong=(5, 4),
    ),
    *_cases(
        "Conv2DTranspose", (3, 5, 4), {"filters": 2, "kernel_size": 4, "strides": 2, "padding": "same",
                                       "data_format": "channels_first"}, wrong=(5, 4),
    ),
    *_cases("Conv3D", (5, 7, 6, 4), *_with({"filters": 6, "kernel_size": 3}, _WINDOWS_3D), wrong=(5, 7, 6)),
    *_cases(
        "Conv3D", (5, 7, 6, 4), {"filters": 4, "kernel_size": (1, 3, 2), "padding": "same", "activation": "relu"},
        {"filters": 4, "kernel_size": (3, 1, 1), "groups": 2}, {"filters": 8, "kernel_size": 2, "groups": 4},
        wrong=(5, 7, 6),
    ),
    *_cases("Conv3D", (4, 3, 5, 4), {"filters": 2, "kernel_size": 2, "padding": "same", **_FIRST_3D}, wrong=(5, 4)),
    *_cases("Conv3DTranspose", (3, 4, 3, 4), *_with({"filters": 3, "kernel_size": 3}, _WINDOWS_3D), wrong=(5, 7, 6)),
    *_cases(
        "Conv3DTranspose", (2, 3, 2, 4), {"filters": 2, "kernel_size": 2, "strides": 2, "activation": "relu"},
        {"filters": 2, "kernel_size": (2, 4, 3), "strides": (2, 3, 1), "output_padding": (1, 2, 0), "padding": "same"},
        wrong=(5, 7, 6),
    ),
    *_cases(
        "SeparableConv1D", (11, 3), *_with({"filters": 4, "kernel_size": 3}, [_WINDOWS_1D[i] for i in (0, 1, 3, 4)]),
        wrong=(3,),
    ),
    *_cases(
        "SeparableConv2D", (9, 8, 3),
        *_with({"filters": 4, "kernel_size": 3}, [_WINDOWS_2D[i] for i in (0, 1, 2, 4)]),
        {"filters": 5, "kernel_size": (3, 2), "depth_multiplier": 2, "activation": "relu", "use_bias": False},
        {"filters": 2, "kernel_size": 3, "pointwise_regularizer": "l2", "depthwise_initializer": "he_normal"},
        wrong=(3,),
    ),
    *_cases("SeparableConv2D", (3, 9, 8), {"filters": 4, "kernel_size": 3, **_FIRST_3D}, wrong=(3,)),
    *[
        case
        for name in ("MaxPooling3D", "AveragePooling3D")
        for case in (
            *_cases(name, (5, 6, 7, 3), *_POOLS, {"pool_size": (1, 2, 3), "padding": "same"}, wrong=(3,)),
            *_cases(name, (3, 5, 6, 7), {"pool_size": 2, **_FIRST_3D}, wrong=(3,)),
        )
    ],
    *[
        case
        for name in ("GlobalMaxPooling3D", "GlobalAveragePooling3D")
        for case in _cases(name, (3, 5, 4, 3), {}, {"keepdims": True}, _FIRST_3D, wrong=(3,))
    ],
    *_cases("UpSampling1D", (4, 3), {}, {"size": 3}, wrong=(4,)),
    *_cases("UpSampling2D", (4, 5, 3), {}, {"size": (3, 1)}, _FIRST_3D, wrong=(4,)),
    *_cases("UpSampling3D", (2, 3, 2, 3), {}, {"size": (1, 2, 3)}, _FIRST_3D, wrong=(4,)),
    *_cases("Cropping1D", (5, 3), {}, {"cropping": 2}, {"cropping": (0, 3)}, wrong=(2, 3)),
    *_cases("Cropping2D", (4, 5, 3), {}, {"cropping": 1}, {"cropping": ((1, 0), (0, 3))}, wrong=(4,)),
    *_cases("Cropping2D", (3, 4, 5), {"cropping": (1, 2), **_FIRST_3D}, wrong=(3, 2, 5)),
    *_cases("Cropping3D", (4, 5, 3, 2), {}, {"cropping": ((1, 2), (0, 3), (1, 0))}, wrong=(4, 5, 1, 2)),
    *_cases("ZeroPadding3D", (2, 3, 2, 3), {}, {"padding": ((1, 0), (0, 2), (1, 1))}, _FIRST_3D, wrong=(4,)),
    *_cases("DepthwiseConv1D", (11, 3), *_with({"kernel_size": 3}, _WINDOWS_1D), wrong=(3,)),
    *_cases("DepthwiseConv1D", (11, 3), {"kernel_size": 2, "depth_multiplier": 3, "use_bias": False}, wrong=(3,)),
    *_cases(
        "DepthwiseConv2D", (9, 8, 3), *_with({"kernel_size": 3}, [_WINDOWS_2D[i] for i in (0, 1, 2, 4)]), wrong=(3,)
    ),
    *_cases(
        "DepthwiseConv2D", (9, 8, 3), {"kernel_size": (3, 2), "depth_multiplier": 2, "activation": "relu"},
        {"kernel_size": 4, "depth_multiplier": 3, "padding": "same", "depthwise_initializer": "he_uniform"}, wrong=(3,),
    ),
    *_cases("DepthwiseConv2D", (3, 9, 8), {"kernel_size": 3, "data_format": "channels_first"}, wrong=(3,)),
    *[case for name in ("MaxPooling1D", "AveragePooling1D") for case in _cases(name, (11, 3), *_POOLS, wrong=(3,))],
    *[
        case
        for name in ("MaxPooling2D", "AveragePooling2D")
        for case in _cases(name, (9, 8, 3), *_POOLS, {"pool_size": (2, 3), "padding": "same"}, wrong=(3,))
    ],
    *[
        case
        for name in ("MaxPooling2D", "AveragePooling2D")
        for case in _cases(
            name, (3, 9, 8), {"pool_size": 2, "data_format": "channels_first", "padding": "same"}, wrong=(3,)
        )
    ],
    *[
        case
        for name in ("GlobalMaxPooling1D", "GlobalAveragePooling1D")
        for case in _cases(name, (7, 3), {}, {"keepdims": True}, {"data_format": "channels_first"}, wrong=(3,))
    ],
    *[
        case
        for name in ("GlobalMaxPooling2D", "GlobalAveragePooling2D")
        for case in _cases(
            name, (5, 4, 3), {}, {"keepdims": True}, {"data_format": "channels_first", "keepdims": True}, wrong=(3,)
        )
    ],
    *_cases(
        "BatchNormalization", (5, 4, 3), {}, {"axis": 1}, {"scale": False, "epsilon": 1.001e-5, "momentum": 0.9},
        {"center": False, "beta_initializer": "ones", "gamma_regularizer": "l2"}, wrong=None,
    ),
    *_cases(
        "LayerNormalization", (5, 4, 3), {}, {"axis": [1, -1], "epsilon": 1e-5}, {"axis": 1, "scale": False},
        {"axis": [3, 2, 1], "center": False, "gamma_regularizer": "l2"}, wrong=None,
    ),
    *_cases("LayerNormalization", (6,), {}, {"beta_initializer": "ones", "gamma_constraint": "non_neg"}),
    *_cases(
        "GroupNormalization", (5, 4, 6), {"groups": 2}, {"groups": 3, "scale": False, "epsilon": 1.001e-5},
        {"groups": -1}, {"groups": 2, "axis": 2, "center": False}, {"groups": 1, "beta_regularizer": "l2"},
    ),
    *_cases("GroupNormalization", (6,), {"groups": 3}, {"groups": 2, "beta_initializer": "ones"}),
    *_cases("BatchNormalization", (6,), {}, {"moving_mean_initializer": "ones"}),
    *[
        LayerCase("Activation", {"activation": name}, ((4, 5),))
        for name in ("relu", "sigmoid", "tanh", "softmax", "elu", "selu", "gelu", "silu", "softplus", "softsign",
                     "exponential", "linear", "hard_sigmoid", "relu6", "leaky_relu", "mish", "log_softmax")
    ],
    *_cases("ReLU", (4, 5), {}, {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.5}),
    *_cases("LeakyReLU", (4, 5), {}, {"negative_slope": 0.05}),
    *_cases("ELU", (4, 5), {}, {"alpha": 0.5}),
    *_cases("Softmax", (4, 5), {}, {"axis": 1}, {"axis": [1, 2]}),
    *_cases("Identity", (4, 5)),
    *_cases("Dropout", (4, 5), {"rate": 0.3}, {"rate": 0.0}, {"rate": 0.5, "noise_shape": (None, 1, 5), "seed": 7}),
    *_cases("Flatten", (3, 4, 2), {}, {"data_format": "channels_first"}),
    *_cases("Flatten", (4,)),
    *_cases(
        "Reshape", (3, 4), {"target_shape": (2, 6)}, {"target_shape": (-1, 3)}, {"target_shape": (12,)}, wrong=(5,)
    ),
    *_cases("Permute", (3, 4, 2), {"dims": (3, 1, 2)}, {"dims": (1, 2, 3)}, wrong=(3, 4)),
    *_cases("RepeatVector", (5,), {"n": 3}, wrong=(5, 2)),
    *_cases("ZeroPadding1D", (4, 3), {}, {"padding": 2}, {"padding": (0, 3)}, wrong=(4,)),
    *_cases(
        "ZeroPadding2D", (4, 5, 3), {}, {"padding": (2, 0)}, {"padding": ((1, 2), (0, 3))},
        {"data_format": "channels_first"}, wrong=(4,),
    ),
    *[
        case
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")
        for case in (*_cases(name, ((4, 5),) * 3, wrong=(4, 5)), *_cases(name, ((4, 5), (1, 5)), wrong=(4, 5)))
    ],
    *_cases("Subtract", ((4, 5), (4, 1)), wrong=(4, 5)),
    *_cases("Concatenate", ((4, 5), (4, 2), (4, 5)), {}, {"axis": 2}, wrong=(4, 5)),
    *_cases("Concatenate", ((4, 5), (3, 5)), {"axis": 1}, wrong=(4, 5)),
]  # fmt: skip
