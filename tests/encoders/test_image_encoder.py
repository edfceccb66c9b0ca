"""ImageEncoder over maps and sequences of every kind."""

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders
from tests.encoders.cases import inputs_of, ready


def numpy(features):
    return {name: keras.ops.convert_to_numpy(value) for name, value in features.items()}


def averaging(pool=2, shape=(None, None, 3)):
    """A backbone without weights: averages squares of pixels."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.AveragePooling2D(pool)(inputs))


def sequence(shape, size=(6, 6, 1), **attributes):
    """A backbone that returns the pixels as a sequence of the given shape."""
    inputs = keras.Input(size)
    model = keras.Model(inputs, keras.layers.Reshape(shape)(inputs))
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def test_map_becomes_rows_of_tokens_by_hand():
    encoder = encoders.ImageEncoder(averaging())
    image = np.zeros((1, 4, 6, 3), "float32")
    for row in range(2):
        for column in range(3):
            image[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = [row, column, 7]
    features = numpy(encoder(image))
    expected = [[0, 0, 7], [0, 1, 7], [0, 2, 7], [1, 0, 7], [1, 1, 7], [1, 2, 7]]
    np.testing.assert_array_equal(features["tokens"][0], expected)
    np.testing.assert_array_equal(features["pooled"][0], [0.5, 1.0, 7.0])
    assert encoder.grid == (2, 3)


@pytest.mark.parametrize("name", ["test_image", "resnet"])
def test_map_agrees_with_the_backbone_and_numpy(name):
    encoder, images = ready(name), inputs_of(name)
    features = numpy(encoder(images))
    output = encoder.backbone.predict(images, verbose=0).astype("float64")
    batch, height, width, channels = output.shape
    assert encoder.grid == (height, width)
    for index in range(height * width):
        np.testing.assert_allclose(
            features["tokens"][:, index],
            output[:, index // width, index % width],
            rtol=1e-4,
            atol=1e-5,
        )
    np.testing.assert_allclose(features["pooled"], output.mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_class_token_is_pooled_and_no_token():
    encoder, images = ready("test_vit"), inputs_of("test_vit")
    features = numpy(encoder(images))
    output = encoder.backbone.predict(images, verbose=0)
    assert (encoder.num_prefix_tokens, encoder.grid, encoder.image_size) == (1, (4, 4), (32, 32))
    np.testing.assert_allclose(features["tokens"], output[:, 1:], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(features["pooled"], output[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "attributes", "prefix", "grid"),
    [
        ((36, 1), {"patch_size": 1}, 0, (6, 6)),
        ((36, 1), {}, 0, (6, 6)),
        ((12, 3), {"patch_size": (2, 3)}, 6, (3, 2)),  # six patches: the rest is prefix
        ((4, 9), {"patch_size": 1}, 0, (2, 2)),  # fewer tokens than patches: merged ones
        ((9, 4), {"patch_size": (2, 3)}, 3, (3, 2)),
    ],
)
def test_prefix_tokens_are_what_the_patches_leave(shape, attributes, prefix, grid):
    encoder = encoders.ImageEncoder(sequence(shape, **attributes))
    assert (encoder.num_prefix_tokens, encoder.grid) == (prefix, grid)
    images = np.arange(36, dtype="float32").reshape(1, 6, 6, 1)
    features = numpy(encoder(images))
    rows = images.reshape(shape)
    np.testing.assert_array_equal(features["tokens"][0], rows[prefix:])
    np.testing.assert_allclose(features["pooled"][0], rows[0] if prefix else rows.mean(0))
    assert features["mask"].shape == (1, shape[0] - prefix)


def test_prefix_tokens_can_be_said():
    encoder = encoders.ImageEncoder(sequence((12, 3)), num_prefix_tokens=2)
    assert (encoder.num_prefix_tokens, encoder.grid) == (2, None)
    assert encoder.get_config()["num_prefix_tokens"] == 2
    assert encoder.compute_output_shape((5, 6, 6, 1))["tokens"] == (5, 10, 3)


@pytest.mark.parametrize("value", [None, -1, 12, 1.5, True])
def test_unclear_prefix_tokens_are_refused(value):
    with pytest.raises(ValueError, match=rf"\(12\). Received: num_prefix_tokens={value!r}\."):
        encoders.ImageEncoder(sequence((12, 3)), num_prefix_tokens=value)
    if value:
        with pytest.raises(ValueError, match=rf"returns a map.*num_prefix_tokens={value!r}\."):
            encoders.ImageEncoder(averaging(), num_prefix_tokens=value)


def test_pictures_may_be_bytes():
    encoder = encoders.ImageEncoder(averaging())
    image = np.full((1, 2, 2, 3), 201, "uint8")
    np.testing.assert_array_equal(numpy(encoder(image))["pooled"], [[201.0, 201.0, 201.0]])


def test_unknown_sizes_work_in_a_graph():
    encoder = encoders.ImageEncoder(averaging())
    inputs = keras.Input((None, None, 3))
    outputs = encoder(inputs)
    assert outputs["tokens"].shape == (None, None, 3)
    assert encoder.grid is None
    model = keras.Model(inputs, outputs)
    for height, width in ((4, 6), (10, 2)):
        features = model.predict(np.ones((2, height, width, 3)), verbose=0)
        assert features["tokens"].shape == (2, height * width // 4, 3)
        assert features["mask"].shape == (2, height * width // 4)


def test_a_size_that_the_backbone_cannot_take_is_refused():
    message = r"32 pixels high and 32 wide.*images.shape=\(2, 48, 32, 3\)"
    with pytest.raises(ValueError, match=message):
        ready("test_vit")(np.ones((2, 48, 32, 3), "float32"))


def test_pooling_is_precise_under_half_precision():
    keras.config.set_dtype_policy("float16")
    encoder = encoders.ImageEncoder(averaging(1))
    images = np.full((1, 2, 1, 3), 100.0, "float32")
    images[0, 1] = 100.0625  # the next number in float16: it has nothing between the two
    np.testing.assert_array_equal(numpy(encoder(images))["pooled"], [[100.03125] * 3])


def several_outputs():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, {"a": inputs, "b": inputs})


def vector_output():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (several_outputs, r"output \['a', 'b'\]"),
        (vector_output, r"output \(None, 3\)"),
        (
            lambda: ready("test_text").backbone,
            r"BertBackbone with input \['padding_mask', 'segment_ids', 'token_ids'\]",
        ),
        (lambda: "resnet_50_imagenet", "str with input None"),
    ],
)
def test_backbones_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        encoders.ImageEncoder(make())


def test_channels_first_is_refused():
    backbone = averaging()
    backbone.data_format = "channels_first"
    with pytest.raises(ValueError, match="data_format='channels_first'"):
        encoders.ImageEncoder(backbone)


def efficientnet(**kwargs):
    config = dict(
        stackwise_width_coefficients=[1.5, 1.5],
        stackwise_depth_coefficients=[1.0, 1.0],
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 8],
        stackwise_expansion_ratios=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0, 0],
        stackwise_strides=[1, 1],
        stackwise_block_types=["v1", "unfused"],
        num_features=20,
        **kwargs,
    )
    return keras_hub.models.EfficientNetBackbone(**config)


@pytest.mark.parametrize("nores", [[False, False], [False, True]])
def test_what_efficientnet_leaves_out_of_its_config_is_kept(nores, tmp_path):
    encoder = encoders.ImageEncoder(efficientnet(stackwise_nores_option=nores))
    images = inputs_of("test_image")
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, encoder(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.output["pooled"].shape[-1] == encoder.output_dim == 32
    for name, value in numpy(model(images)).items():
        np.testing.assert_array_equal(numpy(loaded(images))[name], value)


def test_nores_counts_in_the_digest():
    plain, other = (
        encoders.ImageEncoder(efficientnet(stackwise_nores_option=[False, nores]))
        for nores in (False, True)
    )
    for old, new in zip(plain.weights, other.weights, strict=True):
        new.assign(old)
    assert plain.digest() != other.digest()


def test_efficientnet_computes_in_the_dtype_asked_for(tmp_path):
    encoder, _ = encoders.build_image("test_image", dtype="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    inner = encoder.backbone.get_layer("block2a_").conv1
    assert inner.compute_dtype == "bfloat16"
    images = inputs_of("test_image")
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, encoder(inputs)["pooled"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.get_layer(encoder.name)
    assert again.backbone.get_layer("block2a_").conv1.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(loaded(images)), keras.ops.convert_to_numpy(model(images))
    )
