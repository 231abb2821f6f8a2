"""Layers: what a network is made of, in terms of operations. They know nothing of graphs, programs or models."""

from inspect import ismodule as _ismodule

from cnnengine.layers.activations import ELU, Activation, LeakyReLU, ReLU, Softmax
from cnnengine.layers.batch_normalization import BatchNormalization
from cnnengine.layers.convolution import Conv1D, Conv2D, Conv3D, DepthwiseConv1D, DepthwiseConv2D
from cnnengine.layers.convolution_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from cnnengine.layers.dense import Dense
from cnnengine.layers.dropout import Dropout
from cnnengine.layers.function_layer import FunctionLayer
from cnnengine.layers.group_normalization import GroupNormalization, LayerNormalization
from cnnengine.layers.input_layer import Input, InputLayer
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.lambda_layer import Identity, Lambda
from cnnengine.layers.layer import Layer
from cnnengine.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)  # fmt: skip
from cnnengine.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)  # fmt: skip
from cnnengine.layers.resampling import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
)  # fmt: skip
from cnnengine.layers.reshaping import (
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)  # fmt: skip
from cnnengine.layers.separable_convolution import SeparableConv1D, SeparableConv2D

Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalMaxPool3D, GlobalAvgPool3D = GlobalMaxPooling3D, GlobalAveragePooling3D

__all__ = [name for name, value in list(globals().items()) if not name.startswith("_") and not _ismodule(value)]
