"""What is particular to single layers: windows, statistics, random masks, merging, functions as layers."""

import numpy as np
import pytest

from cnnengine import Input, Model, Sequential, backend, config, layers, ops, optimizers
from cnnengine.core.errors import ConfigError, ShapeError
from tests.support.compare import assert_same_bits
from tests.support.keras_oracle import import_keras

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def keras_output(name, kwargs, x, weights=(), **call):
    """What Keras's layer of that name gives for x with these weights."""
    keras = import_keras()
    layer = getattr(keras.layers, name)(**kwargs)
    layer.build(x.shape)
    layer.set_weights(list(weights))
    return keras.ops.convert_to_numpy(layer(x, **call))


def trained_on(layer, x, y=None, steps=1, rate=0.1):
    """The layer after steps of SGD on a batch."""
    model = Sequential([Input(x.shape[1:]), layer])
    model.compile(optimizers.SGD(rate), "mse")
    y = np.zeros(model(x).shape, np.float32) if y is None else y
    for _ in range(steps):
        model.train_on_batch(x, y)
    return layer


# Convolution


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_conv2d_windows(padding, size, kernel, stride):
    kwargs = {"filters": 3, "kernel_size": (kernel, 3), "strides": (stride, 2), "padding": padding}
    x = normal(2, size, size - 1, 2)
    layer = layers.Conv2D(**kwargs)
    y = layer(x)
    np.testing.assert_allclose(y, keras_output("Conv2D", kwargs, x, layer.get_weights()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("stride", "extra"), [(1, None), (1, 0), (2, None), (2, 0), (2, 1), (3, None), (3, 2)])
def test_conv2d_transpose_windows(padding, kernel, stride, extra):
    extra = None if extra is None else (extra, 1)
    kwargs = {"filters": 3, "kernel_size": (kernel, 3), "strides": (stride, 2), "padding": padding}
    kwargs |= {"output_padding": extra}
    x = normal(2, 4, 3, 2)
    layer = layers.Conv2DTranspose(**kwargs)
    y = layer(x)
    expected = keras_output("Conv2DTranspose", kwargs, x, layer.get_weights())
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_conv2d_transpose_is_the_transpose_of_conv2d():
    layer, conv = layers.Conv2DTranspose(3, 4, 2, use_bias=False), layers.Conv2D(5, 4, 2, use_bias=False)
    x = normal(1, 6, 5, 5)
    y = layer(x)
    back = normal(*y.shape)
    conv.build(y.shape)
    conv.set_weights(layer.get_weights())
    np.testing.assert_allclose((y * back).sum(), (x * conv(back)).sum(), rtol=1e-4)


def test_one_packed_kernel_serves_all_sizes_of_a_transposed_convolution():
    layer = layers.Conv2DTranspose(3, 5, 3, padding="same", activation="relu")
    x = Input((None, None, 4))
    model = Model(x, layer(x))
    for size in ((4, 5), (1, 1), (1, 6), (7, 2)):
        image = normal(2, *size, 4)
        np.testing.assert_allclose(model(image), layer(image), rtol=1e-5, atol=1e-5)


def test_output_padding_is_less_than_strides():
    with pytest.raises(ConfigError, match=r"output_padding=\(1, 1\), strides=\(2, 1\)"):
        layers.Conv2DTranspose(3, 3, (2, 1), output_padding=1)


def test_conv3d_is_a_sum_of_convolutions_of_frames():
    x, layer = normal(2, 4, 6, 5, 3), layers.Conv3D(4, 3, padding="same", use_bias=False)
    y = layer(x)
    (kernel,) = layer.get_weights()
    frames = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    for z in range(4):
        expected = 0
        for t in range(3):
            conv = layers.Conv2D(4, 3, padding="same", use_bias=False)
            conv.build((None, 6, 5, 3))
            conv.set_weights([kernel[t]])
            expected = expected + conv(np.ascontiguousarray(frames[:, z + t]))
        np.testing.assert_allclose(y[:, z], expected, rtol=1e-5, atol=1e-5)


def test_upsampling_knows_one_interpolation():
    with pytest.raises(ConfigError, match="bilinear"):
        layers.UpSampling2D(2, interpolation="bilinear")


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 3, 1), (3, 1, 2), (2, 1, 5)]
)
def test_conv1d_causal_sees_only_the_past(kernel, stride, dilation):
    kwargs = {"filters": 2, "kernel_size": kernel, "strides": stride, "dilation_rate": dilation, "padding": "causal"}
    layer = layers.Conv1D(**kwargs)
    x = normal(2, 12, 3)
    y = layer(x)
    np.testing.assert_allclose(y, keras_output("Conv1D", kwargs, x, layer.get_weights()), rtol=1e-4, atol=1e-5)
    later = x.copy()
    later[:, 7:] = 100.0
    steps = -(-7 // stride)
    assert_same_bits(layer(later)[:, :steps], y[:, :steps])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_are_convolutions_side_by_side(groups):
    x, layer = normal(2, 6, 6, 4), layers.Conv2D(8, 3, groups=groups, padding="same")
    y = layer(x)
    kernel, bias = layer.get_weights()
    parts = []
    for g in range(groups):
        ins, outs = slice(g * 4 // groups, (g + 1) * 4 // groups), slice(g * 8 // groups, (g + 1) * 8 // groups)
        part = layers.Conv2D(8 // groups, 3, padding="same")
        part.build((None, 6, 6, 4 // groups))
        part.set_weights([kernel[..., outs], bias[outs]])
        parts.append(part(np.ascontiguousarray(x[..., ins])))
    np.testing.assert_allclose(y, np.concatenate(parts, -1), rtol=1e-5, atol=1e-5)


def test_depthwise_is_a_convolution_with_a_group_for_each_channel():
    x, layer = normal(2, 6, 5, 3), layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")
    y = layer(x)
    kernel, bias = layer.get_weights()
    conv = layers.Conv2D(6, 3, groups=3, padding="same")
    conv.build((None, 6, 5, 3))
    conv.set_weights([kernel.reshape(3, 3, 1, 6), bias])
    np.testing.assert_allclose(y, conv(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["Conv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D"]
)
def test_channels_first_is_channels_last_transposed(name):
    kwargs = {"Conv2D": {"filters": 4, "kernel_size": 3}, "DepthwiseConv2D": {"kernel_size": 3}}.get(name, {})
    first = getattr(layers, name)(data_format="channels_first", **kwargs)
    last = getattr(layers, name)(data_format="channels_last", **kwargs)
    x = normal(2, 5, 6, 7)
    y = first(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    last.build(x.shape)
    last.set_weights(first.get_weights())
    expected = last(x)
    expected = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected
    np.testing.assert_array_equal(y, expected)


def test_default_data_format_is_that_of_the_config():
    config.set_image_data_format("channels_first")
    try:
        assert layers.Conv2D(4, 3)(Input((3, 8, 8))).shape == (None, 4, 6, 6)
        assert layers.Flatten().data_format == "channels_first"
    finally:
        config.set_image_data_format("channels_last")


def test_conv_with_open_sizes():
    conv = layers.Conv2D(2, 3, strides=2, padding="same")
    x = Input((None, None, 3))
    y = conv(x)
    assert y.shape == (None, None, None, 2)
    model = Model(x, layers.GlobalAveragePooling2D()(y))
    for size in ((5, 7), (8, 8), (1, 1)):
        assert model(normal(2, *size, 3)).shape == (2, 2)


# Pooling


def test_average_same_divides_by_the_cells_inside():
    x = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    y = layers.AveragePooling2D(2, padding="same")(x)[0, :, :, 0]
    np.testing.assert_array_equal(y, [[(1 + 2 + 4 + 5) / 4, (3 + 6) / 2], [(7 + 8) / 2, 9]])


def test_max_same_ignores_padding():
    x = -np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    y = layers.MaxPooling2D(2, padding="same")(x)[0, :, :, 0]
    np.testing.assert_array_equal(y, [[-1, -3], [-7, -9]])


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool", "stride"), [(1, 1), (2, None), (2, 3), (3, 1), (3, 2), (5, 4)])
@pytest.mark.parametrize("size", [5, 6, 11])
def test_pooling_windows(padding, pool, stride, size):
    x = normal(2, size, 3)
    stride = stride or pool
    count = -(-size // stride) if padding == "same" else (size - pool) // stride + 1
    total = max((count - 1) * stride + pool - size, 0)
    padded = np.pad(x, ((0, 0), (total // 2, total - total // 2), (0, 0)), constant_values=np.nan)
    windows = [padded[:, i * stride : i * stride + pool] for i in range(count)]
    for layer, function in ((layers.MaxPooling1D, np.nanmax), (layers.AveragePooling1D, np.nanmean)):
        expected = np.stack([function(window, axis=1) for window in windows], 1)
        np.testing.assert_allclose(layer(pool, stride, padding)(x), expected, rtol=1e-5, atol=1e-6)


# Batch normalisation


def test_batch_normalization_normalises_in_training():
    x, layer = normal(64, 5, 5, 3) * 4 + 7, layers.BatchNormalization()
    y = layer(x, training=True)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-4)


def test_moving_averages_follow_the_biased_statistics():
    momentum, layer = 0.8, layers.BatchNormalization(momentum=0.8)
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(5):
        x = normal(16, 3) * 3 + 1
        layer(x, training=True)
        mean = mean * momentum + x.mean(0) * (1 - momentum)
        var = var * momentum + x.var(0) * (1 - momentum)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), var, rtol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1])
def test_batch_normalization_in_training_equals_keras(axis):
    keras = import_keras()
    ours, theirs = (
        layers.BatchNormalization(axis=axis, momentum=0.7),
        keras.layers.BatchNormalization(axis=axis, momentum=0.7),
    )
    for _ in range(3):
        x = normal(4, 5, 6, 3)
        expected = keras.ops.convert_to_numpy(theirs(x, training=True))
        np.testing.assert_allclose(ours(x, training=True), expected, rtol=1e-4, atol=1e-5)
    for mine, other in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    x = normal(4, 5, 6, 3)
    expected = keras.ops.convert_to_numpy(theirs(x, training=False))
    np.testing.assert_allclose(ours(x, training=False), expected, rtol=1e-4, atol=1e-5)


def test_frozen_batch_normalization_uses_moving_averages_in_training():
    layer = layers.BatchNormalization()
    layer(normal(8, 3), training=True)
    layer.trainable = False
    before, x = layer.get_weights(), normal(8, 3) * 5
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    for old, new in zip(before, layer.get_weights()):
        assert_same_bits(new, old)
    layer.trainable = True
    layer(x, training=True)
    assert not np.array_equal(before[2], layer.moving_mean.numpy())


def test_trainable_off_and_on_leaves_statistics_out_of_training():
    layer = layers.BatchNormalization()
    layer(Input((3,)))
    assert [len(layer.trainable_weights), len(layer.non_trainable_weights)] == [2, 2]
    layer.trainable = False
    assert [len(layer.trainable_weights), len(layer.non_trainable_weights)] == [0, 4]
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_extreme_momentum(momentum):
    layer, x = layers.BatchNormalization(momentum=momentum), normal(8, 3) + 2
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x.mean(0) if momentum == 0 else 0, rtol=1e-5)


def test_statistics_of_an_empty_batch_change_nothing():
    layer = layers.BatchNormalization()
    assert layer(np.zeros((0, 3), np.float32), training=True).shape == (0, 3)
    np.testing.assert_array_equal(layer.moving_variance.numpy(), 1)


# Dropout


def mask_of(layer, shape=(100, 100)):
    return layer(np.ones(shape, np.float32), training=True)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_scales_the_rest(rate):
    y = mask_of(layers.Dropout(rate, seed=1), (400, 500))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - rate))}
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) < 5 * deviation
    for axis in (0, 1):  # rows and columns alike: no pattern
        assert abs((y == 0).mean(axis).std() - np.sqrt(rate * (1 - rate) / y.shape[axis])) < 0.3 * np.sqrt(
            0.25 / y.shape[axis]
        )


def test_dropout_masks_differ_from_call_to_call_and_repeat_with_the_seed():
    one, other = layers.Dropout(0.5, seed=3), layers.Dropout(0.5, seed=3)
    first, second = mask_of(one), mask_of(one)
    assert not np.array_equal(first, second)
    assert_same_bits(mask_of(other), first)
    assert_same_bits(mask_of(other), second)
    assert not np.array_equal(mask_of(layers.Dropout(0.5, seed=4)), first)


def test_dropout_mask_does_not_depend_on_threads_or_backend():
    before, masks = config.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            config.set_num_threads(threads)
            masks.append(mask_of(layers.Dropout(0.5, seed=3), (300, 400)))
        config.set_backend("reference")
        masks.append(mask_of(layers.Dropout(0.5, seed=3), (300, 400)))
    finally:
        config.set_num_threads(before)
        config.set_backend("native")
    for mask in masks[1:]:
        assert_same_bits(mask, masks[0])


def test_dropout_is_off_in_inference_and_at_rate_0():
    x = normal(4, 5)
    np.testing.assert_array_equal(layers.Dropout(0.9)(x), x)
    np.testing.assert_array_equal(layers.Dropout(0.9)(x, training=False), x)
    np.testing.assert_array_equal(layers.Dropout(0)(x, training=True), x)
    np.testing.assert_array_equal(layers.Dropout(1)(x, training=True), np.zeros_like(x))


def test_dropout_shares_its_mask_along_axes_of_length_1():
    y = layers.Dropout(0.5, noise_shape=(None, 1, 8), seed=0)(np.ones((50, 6, 8), np.float32), training=True)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert 0.3 < (y[:, 0] == 0).mean() < 0.7
    by_number = layers.Dropout(0.5, noise_shape=(50, 1, 8), seed=0)(np.ones((50, 6, 8), np.float32), training=True)
    np.testing.assert_array_equal(by_number, y)


def test_dropout_in_a_model_acts_only_in_training():
    model = Sequential([Input((1000,)), layers.Dropout(0.5, seed=1)])
    x = np.ones((2, 1000), np.float32)
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    first, second = model(x, training=True), model(x, training=True)
    assert 0.4 < (first == 0).mean() < 0.6 and not np.array_equal(first, second)


def test_gradient_passes_where_the_mask_passes():
    """d/dw of mean((mask * w)**2): no slope where the mask is zero."""

    class Weights(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=input_shape[1:], initializer="ones")

        def call(self, x):
            return x * self.w

    weights = Weights()
    model = Sequential([Input((64,)), weights, layers.Dropout(0.5, seed=5)])
    model.compile(optimizers.SGD(1.0), "mse")
    x = np.ones((1, 64), np.float32)
    mask = layers.Dropout(0.5, seed=5)(x, training=True)[0]
    model.train_on_batch(x, np.zeros((1, 64), np.float32))
    np.testing.assert_allclose(weights.w.numpy(), 1 - 2 * mask**2 / 64, rtol=1e-6)


# Activations, merging, reshaping


def test_softmax_mask():
    x = normal(2, 4)
    mask = np.array([[True, True, False, True], [False, True, True, True]])
    y = layers.Softmax()(x, mask=mask)
    assert (y[~mask] == 0).all()
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)


def test_leaky_relu_knows_its_old_name():
    assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"])
@pytest.mark.parametrize("shapes", [((4, 3), (4, 3)), ((4, 1), (1, 3)), ((2, 4, 3), (4, 3)), ((3,), (5, 2, 1))])
def test_merging_broadcasts(name, shapes):
    keras = import_keras()
    arrays = [normal(2, *shape) for shape in shapes]
    y = getattr(layers, name)()(arrays)
    np.testing.assert_allclose(y, keras.ops.convert_to_numpy(getattr(keras.layers, name)()(arrays)), rtol=1e-6)
    symbolic = [Input(shape) for shape in shapes]
    assert getattr(layers, name)()(symbolic).shape == (None, *y.shape[1:])


def test_merging_functions_build_layers():
    a, b = Input((3,)), Input((3,))
    x, y = normal(2, 3), normal(2, 3)
    for name, expected in [
        ("add", x + y), ("subtract", x - y), ("multiply", x * y), ("average", (x + y) / 2),
        ("maximum", np.maximum(x, y)), ("minimum", np.minimum(x, y)), ("concatenate", np.concatenate([x, y], -1)),
    ]:  # fmt: skip
        result = Model([a, b], getattr(layers, name)([a, b]))([x, y])
        np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_one_tensor_merges_to_itself_and_a_list_is_needed():
    x = normal(2, 3)
    np.testing.assert_array_equal(layers.Add()([x]), x)
    with pytest.raises(ConfigError, match="list"):
        layers.Add()(x)
    with pytest.raises(ConfigError, match="exactly 2"):
        layers.Subtract()([x, x, x])
    with pytest.raises(ShapeError, match="Received"):
        layers.Add()([Input((3,)), Input((4,))])
    with pytest.raises(ShapeError, match="Received"):
        layers.Concatenate(1)([Input((3, 2)), Input((3, 4))])


def test_reshape_fills_in_the_open_size():
    assert layers.Reshape((-1, 2))(Input((3, 4))).shape == (None, 6, 2)
    assert layers.Reshape((-1,))(Input((None, 4))).shape == (None, None)
    np.testing.assert_array_equal(layers.Reshape((-1,))(np.arange(6).reshape(1, 2, 3)), np.arange(6).reshape(1, 6))
    with pytest.raises(ShapeError, match="reshape"):
        layers.Reshape((-1, 5))(Input((3, 4)))


def test_permute_and_repeat():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(layers.Permute((2, 3, 1))(x), x.transpose(0, 2, 3, 1))
    v = normal(2, 3)
    np.testing.assert_array_equal(layers.RepeatVector(4)(v), np.repeat(v[:, None], 4, 1))


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [(2, ((2, 2), (2, 2))), ((1, 3), ((1, 1), (3, 3))), (((0, 1), (2, 0)), ((0, 1), (2, 0))), (0, ((0, 0), (0, 0)))],
)
def test_zero_padding_forms(padding, pairs):
    x = normal(2, 3, 4, 2)
    np.testing.assert_array_equal(layers.ZeroPadding2D(padding)(x), np.pad(x, ((0, 0), *pairs, (0, 0))))
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    y = layers.ZeroPadding2D(padding, data_format="channels_first")(first)
    np.testing.assert_array_equal(y, np.pad(first, ((0, 0), (0, 0), *pairs)))


def test_flatten_of_channels_first_comes_channels_last():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(layers.Flatten("channels_first")(x), x.transpose(0, 2, 3, 1).reshape(2, -1))


# Lambda and own layers


def test_lambda_sums_with_the_backend():
    x = normal(2, 3, 4)
    a = Input((3, 4))
    y = layers.Lambda(lambda t: backend.sum(t, axis=-2))(a)
    assert y.shape == (None, 4)
    np.testing.assert_allclose(Model(a, y)(x), x.sum(-2), rtol=1e-5)


def test_lambda_takes_arguments_lists_and_the_mode():
    x = normal(2, 3)
    np.testing.assert_array_equal(layers.Lambda(lambda t, k: t * k, arguments={"k": 3.0})(x), x * 3)
    np.testing.assert_allclose(layers.Lambda(lambda t: t[0] + 2 * t[1])([x, x]), 3 * x, rtol=1e-6)
    by_mode = layers.Lambda(lambda t, training=False: t * 2 if training else t)
    np.testing.assert_array_equal(by_mode(x), x)
    np.testing.assert_array_equal(by_mode(x, training=True), 2 * x)
    with pytest.raises(ConfigError, match="never written"):
        by_mode.get_config()


def test_shapes_unpack_into_ints():
    """The seed's attention: h, w and c come out of x.shape and go into layers."""
    x = Input((4, 5, 6))
    _, h, w, c = x.shape
    assert (h, w, c) == (4, 5, 6)
    weights = layers.Dense(h * w, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    weights = layers.Permute((2, 1))(layers.RepeatVector(c)(layers.Reshape((h * w,))(weights)))
    attended = layers.multiply([layers.Reshape((h * w, c))(x), weights])
    model = Model(x, layers.Lambda(lambda t: backend.sum(t, axis=-2))(attended))
    data = normal(3, 4, 5, 6)
    dense = next(layer for layer in model.layers if isinstance(layer, layers.Dense))
    kernel, bias = dense.get_weights()
    scores = data.mean((1, 2)) @ kernel + bias
    share = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = (data.reshape(3, 20, 6) * share[:, :, None]).sum(1)
    np.testing.assert_allclose(model(data), expected, rtol=1e-4, atol=1e-5)


def test_own_layer_learns_and_reports_its_weights():
    class Affine(layers.Layer):
        def build(self, input_shape):
            self.a = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="a")
            self.steps = self.add_weight(initializer="zeros", trainable=False, name="steps")

        def call(self, x, training=False):
            if training:
                self.steps.assign_add(1.0)
            return x * self.a

    layer = trained_on(Affine(), normal(4, 3) + 1, steps=3)
    assert [w.name for w in layer.weights] == ["a", "steps"]
    assert float(layer.steps.numpy()) == 3 and (layer.a.numpy() != 1).all()


def test_activity_regularizer_counts_per_sample():
    x = np.array([[1.0, -2.0], [3.0, 4.0]], np.float32)
    model = Sequential([Input((2,)), layers.Activation("linear", activity_regularizer="l2")])
    model.compile(loss="mse")
    assert model.evaluate(x, x, verbose=0) == pytest.approx(0.01 * 30 / 2)


def test_layer_arguments_of_operations_on_symbolic_tensors():
    x = Input((3,))
    assert ops.mean(x, axis=-1).shape == (None,)
    assert (x * 2 + 1).shape == (None, 3)
