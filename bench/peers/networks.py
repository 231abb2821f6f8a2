"""The networks, written once against Keras's interface: each function takes the module that offers it.

Strides come with an explicit and symmetric ZeroPadding2D, as PyTorch has no other; "same" is used where it means that.
Nothing here imports cnnengine, as the other engines' processes read this too; hence the first two stand in its examples
again.
"""

from collections.abc import Callable
from dataclasses import dataclass

BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def mlp(keras):
    """784-512-512-10."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dense(512, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def mnist_cnn(keras):
    """Two convolutions with poolings and a dense layer."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.25),
            layers.Dense(10, activation="softmax"),
        ]
    )


def vgg16(keras):
    """Simonyan and Zisserman 2014, configuration D."""
    layers = keras.layers
    x = inputs = keras.Input((224, 224, 3))
    for filters, depth in (64, 2), (128, 2), (256, 3), (512, 3), (512, 3):
        for _ in range(depth):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dense(4096, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))


def _conv_norm(keras, x, filters, size, stride=1, relu=True):
    """Convolution without bias, normalised; padded so that stride 1 keeps the size of the map."""
    layers = keras.layers
    if stride > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(filters, size, strides=stride, padding=padding, use_bias=False)(x)
    x = layers.BatchNormalization(**BATCH_NORM)(x)
    return layers.ReLU()(x) if relu else x


def _residual(keras, x, branch, filters, stride):
    """branch + x, where x is projected if its shape is another one."""
    if stride > 1 or x.shape[-1] != filters:
        x = _conv_norm(keras, x, filters, 1, stride, relu=False)
    return keras.layers.ReLU()(keras.layers.Add()([branch, x]))


def resnet20(keras):
    """He et al. 2015 for CIFAR-10, with projections: three stages of three blocks of 16, 32, 64 channels."""
    inputs = keras.Input((32, 32, 3))
    x = _conv_norm(keras, inputs, 16, 3)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = _conv_norm(keras, x, filters, 3, stride)
            y = _conv_norm(keras, y, filters, 3, relu=False)
            x = _residual(keras, x, y, filters, stride)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def resnet50(keras):
    """He et al. 2015 in its form v1.5: the 3x3 convolution of a block has the stride."""
    layers = keras.layers
    inputs = keras.Input((224, 224, 3))
    x = _conv_norm(keras, inputs, 64, 7, 2)
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, depth in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(depth):
            stride = 2 if stage and not block else 1
            y = _conv_norm(keras, x, width, 1)
            y = _conv_norm(keras, y, width, 3, stride)
            y = _conv_norm(keras, y, 4 * width, 1, relu=False)
            x = _residual(keras, x, y, 4 * width, stride)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))


def _depthwise_norm(keras, x, size, stride):
    layers = keras.layers
    if stride > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(size, strides=stride, padding=padding, use_bias=False)(x)
    return layers.BatchNormalization(**BATCH_NORM)(x)


def mobilenet_v2(keras):
    """Sandler et al. 2018, width 1."""
    layers = keras.layers
    inputs = keras.Input((224, 224, 3))

    def pointwise(x, filters):
        return layers.ReLU(6.0)(_conv_norm(keras, x, filters, 1, relu=False))

    x = layers.ReLU(6.0)(_conv_norm(keras, inputs, 32, 3, 2, relu=False))
    blocks = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    for expansion, filters, depth, first_stride in blocks:
        for block in range(depth):
            stride, channels = first_stride if not block else 1, x.shape[-1]
            y = pointwise(x, expansion * channels) if expansion > 1 else x
            y = layers.ReLU(6.0)(_depthwise_norm(keras, y, 3, stride))
            y = _conv_norm(keras, y, filters, 1, relu=False)
            x = layers.Add()([y, x]) if stride == 1 and channels == filters else y
    x = layers.GlobalAveragePooling2D()(pointwise(x, 1280))
    return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))


def efficientnet_b0(keras):
    """Tan and Le 2019: depthwise blocks with swish, and with squeeze and excitation (Hu et al. 2018)."""
    layers = keras.layers
    inputs = keras.Input((224, 224, 3))

    def conv(x, filters, size=1, stride=1):
        return layers.Activation("swish")(_conv_norm(keras, x, filters, size, stride, relu=False))

    def excited(x, squeezed):
        factors = layers.GlobalAveragePooling2D(keepdims=True)(x)
        factors = layers.Conv2D(squeezed, 1, activation="swish")(factors)
        return layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(factors)])

    x = conv(inputs, 32, 3, 2)
    early = (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)
    late = (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)
    for expansion, filters, depth, first_stride, size in early + late:
        for block in range(depth):
            stride, channels = first_stride if not block else 1, x.shape[-1]
            y = conv(x, expansion * channels) if expansion > 1 else x
            y = excited(layers.Activation("swish")(_depthwise_norm(keras, y, size, stride)), channels // 4)
            y = _conv_norm(keras, y, filters, 1, relu=False)
            x = layers.Add()([y, x]) if stride == 1 and channels == filters else y
    x = layers.GlobalAveragePooling2D()(conv(x, 1280))
    return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))


@dataclass(frozen=True)
class Network:
    """A network and what is measured on it.

    Args:
        title: for people.
        build: function of the module that offers Keras's interface.
        predict: batch sizes of inference.
        train: batch size of a training step; None: not trained.
        optimizer: "adam" or "sgd" (with momentum).
        shape, classes: (h, w, c) of a picture, and what it can be.
        drops: whether it has dropout, so that no two trainings are the same.
    """

    title: str
    build: Callable
    predict: tuple = ()
    train: int | None = None
    optimizer: str = "sgd"
    shape: tuple = (224, 224, 3)
    classes: int = 1000
    drops: bool = False


NETWORKS = {
    "mlp": Network("MLP", mlp, (), 128, "adam", (28, 28, 1), 10),
    "mnist": Network("MNIST CNN", mnist_cnn, (1, 32), 128, "adam", (28, 28, 1), 10, drops=True),
    "resnet20": Network("ResNet-20", resnet20, (1, 32), 128, shape=(32, 32, 3), classes=10),
    "mobilenetv2": Network("MobileNetV2", mobilenet_v2, (1, 32), 16),
    "efficientnetb0": Network("EfficientNet-B0", efficientnet_b0, (1, 32)),
    "resnet50": Network("ResNet-50", resnet50, (1, 32), 16),
    "vgg16": Network("VGG-16", vgg16, (1, 8)),
}

# Small steps: rounding must not grow into other losses within the few that are compared.
_OPTIMIZERS = {
    "adam": ("Adam", {"learning_rate": 1e-3}),
    "sgd": ("SGD", {"learning_rate": 3e-4, "momentum": 0.9}),
}


def optimizer_settings(name):
    """Keras's class and its arguments."""
    return _OPTIMIZERS[name]
