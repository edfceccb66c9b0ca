"""The properties every case goes through: functions of a case, collected in PROPERTIES."""

import json

import hypothesis
import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tests.conformance.case import single, weights_by_name

PROPERTIES = {}


def prop(function):
    PROPERTIES[function.__name__] = function
    return function


def numpy(outputs):
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in tree.flatten(outputs)]


def assert_equal(first, second):
    for a, b in zip(numpy(first), numpy(second), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_close(first, second, tolerance):
    for a, b in zip(numpy(first), numpy(second), strict=True):
        assert a.shape == b.shape
        a, b = a.astype("float64"), b.astype("float64")
        np.testing.assert_allclose(
            a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0))
        )


def gradients(case, layer, arrays):
    """Gradients of a random projection of the observed outputs: by input name, and of weights."""
    tensors = {name: tf.constant(single(array)) for name, array in arrays.items()}
    floats = {name: x for name, x in tensors.items() if x.dtype.is_floating}
    rng = np.random.default_rng(5)
    with tf.GradientTape() as tape:
        tape.watch(floats)
        outputs = tree.flatten(case.observe(tensors, case.call(layer, tensors)))
        outputs = [tf.cast(x, "float32") for x in outputs if x.dtype.is_floating]
        loss = sum(tf.reduce_sum(x * rng.normal(size=x.shape)) for x in outputs)
    variables = [v.value for v in layer.trainable_variables]
    by_input, by_weight = tape.gradient(
        loss, (floats, variables), unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return {name: x.numpy() for name, x in by_input.items()}, numpy(by_weight)


def unknown_sizes(case, arrays):
    """Specifications by name, with unknown batch and lengths."""
    specs = {}
    for name, array in arrays.items():
        known = array.shape[2:] if name in case.sequences else array.shape[1:]
        unknown = (None, None) if name in case.sequences else (None,)
        specs[name] = tf.TensorSpec((*unknown, *known), array.dtype)
    return specs


@prop
def numbers_of_the_twin(case, tmp_path):
    if case.twin is None:
        return
    arrays = case.inputs()
    for dtype, tolerance in (("float64", 1e-10), ("float32", 2e-5)):
        layer = case.built(arrays, dtype=dtype)
        expected = case.twin(weights_by_name(layer), arrays)
        assert_close(case.call(layer, arrays), expected, tolerance)


@prop
def hidden_values_have_no_effect(case, tmp_path):
    arrays = case.inputs()
    hidden = case.hidden(arrays)
    layer = case.built(arrays)
    before = case.observe(arrays, case.call(layer, arrays))
    noise = np.random.default_rng(6).normal(size=100)
    for values in (noise, np.clip(noise * case.extreme, -case.extreme, case.extreme)):
        changed = dict(arrays)
        for name, places in hidden.items():
            changed[name] = arrays[name].copy()
            changed[name][places] = np.resize(values, changed[name][places].shape)
        assert_equal(case.observe(arrays, case.call(layer, changed)), before)
        by_input, by_weight = gradients(case, layer, changed)
        assert all(np.isfinite(x).all() for x in by_weight)
        for name, places in hidden.items():
            assert not by_input[name][places].any(), name
            assert places.all() or by_input[name][~places].any(), name


@prop
def permuted_values_and_masks(case, tmp_path):
    arrays = case.inputs()
    layer = case.built(arrays)
    before = case.call(layer, arrays)
    for group in case.permuted:
        length = arrays[group[0]].shape[1]
        order = np.random.default_rng(7).permutation(length)
        assert (order != np.arange(length)).any()
        changed = {**arrays, **{name: arrays[name][:, order] for name in group}}
        assert_close(case.call(layer, changed), case.permuted_outputs(before, order), 1e-5)


@prop
def rows_are_independent(case, tmp_path):
    arrays, others = case.inputs(), case.inputs(seed=8)
    layer = case.built(arrays)
    mixed = {name: np.concatenate([arrays[name][:1], others[name][1:]]) for name in arrays}
    first, second = numpy(case.call(layer, arrays)), numpy(case.call(layer, mixed))
    assert_equal([x[0] for x in first], [x[0] for x in second])
    assert any((a[1:] != b[1:]).any() for a, b in zip(first, second, strict=True))


@prop
def row_with_nothing(case, tmp_path):
    if case.empty is None:
        return
    arrays = case.empty(case.inputs())
    layer = case.built(arrays)
    for output in numpy(case.call(layer, arrays)):
        assert np.isfinite(output).all()
        np.testing.assert_array_equal(output[0], np.full_like(output[0], case.empty_output))
    by_input, by_weight = gradients(case, layer, arrays)
    assert all(np.isfinite(x).all() for x in [*by_input.values(), *by_weight])


@prop
def half_precision(case, tmp_path):
    arrays = case.inputs()
    reference = case.built(arrays)
    expected = case.call(reference, arrays)
    for dtype in ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16"):
        layer = case.built(arrays, dtype=dtype)
        layer.set_weights(reference.get_weights())
        outputs = case.call(layer, arrays)
        assert all(x.dtype == layer.compute_dtype for x in tree.flatten(outputs))
        assert_close(outputs, expected, 0.05)
        by_input, by_weight = gradients(case, layer, arrays)
        assert all(np.isfinite(x.astype("float32")).all() for x in [*by_input.values(), *by_weight])


@prop
def config_round_trip(case, tmp_path):
    arrays = case.inputs()
    layer = case.built(arrays)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    case.call(copy, arrays)
    copy.set_weights(layer.get_weights())
    assert_equal(case.call(copy, arrays), case.call(layer, arrays))


@prop
def saved_in_a_model(case, tmp_path):
    arrays = {name: single(array) for name, array in case.inputs().items()}
    inputs = case.symbolic()
    model = keras.Model(inputs, case.call(case.built(arrays), inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(loaded(arrays), model(arrays))


@prop
def unknown_sizes_in_a_graph(case, tmp_path):
    arrays = {name: single(array) for name, array in case.inputs().items()}
    layer = case.built(arrays)
    signature = [unknown_sizes(case, arrays)]
    graph = tf.function(lambda tensors: case.call(layer, tensors), input_signature=signature)
    shorter = {
        name: array[:-1, :-1] if name in case.sequences else array[:-1]
        for name, array in arrays.items()
    }
    for some in (arrays, shorter):
        tensors = {name: tf.constant(array) for name, array in some.items()}
        assert_close(graph(tensors), case.call(layer, some), 1e-6)


@prop
def symbolic_shapes_and_dtypes(case, tmp_path):
    arrays = case.inputs()
    symbolic = tree.flatten(case.call(case.make(), case.symbolic()))
    outputs = tree.flatten(case.call(case.make(), arrays))
    for expected, output in zip(symbolic, outputs, strict=True):
        assert expected.dtype == keras.backend.standardize_dtype(output.dtype)
        assert expected.shape[0] is None
        assert expected.shape[-1] == output.shape[-1]
        assert all(a in (None, b) for a, b in zip(expected.shape, output.shape, strict=True))


@prop
def one_training_step(case, tmp_path):
    arrays = {name: single(array) for name, array in case.inputs().items()}
    layer = case.built(arrays)
    if not layer.trainable_variables:
        return
    inputs = case.symbolic()
    model = keras.Model(inputs, case.call(layer, inputs))
    model.compile(optimizer="adam", loss="mse")
    before = [v.numpy() for v in layer.trainable_variables]
    target = tree.map_structure(lambda x: np.ones(x.shape), case.call(layer, arrays))
    assert np.isfinite(model.train_on_batch(arrays, target)).all()
    for variable, old in zip(layer.trainable_variables, before, strict=True):
        assert (variable.numpy() != old).any(), variable.path
        assert np.isfinite(variable.numpy()).all(), variable.path


@prop
def seeds_fix_the_weights(case, tmp_path):
    arrays = case.inputs()

    def start(seed):
        layer = case.make(seed=seed)
        case.call(layer, arrays)
        return [v.numpy() for v in layer.trainable_variables]

    first, again, other = start(1), start(1), start(2)
    assert_equal(first, again)
    assert not first or any((a != b).any() for a, b in zip(first, other, strict=True))
    random = [x for x in first if x.ndim == 2 and np.ptp(x) > 0]
    pairs = [(a, b) for i, a in enumerate(random) for b in random[:i] if a.shape == b.shape]
    assert all((a != b).any() for a, b in pairs)


@prop
def exported_for_serving(case, tmp_path):
    arrays = {name: single(array) for name, array in case.inputs().items()}
    layer = case.built(arrays)
    module = tf.Module()
    module.layer = layer
    module.serve = tf.function(
        lambda tensors: case.call(layer, tensors), input_signature=[unknown_sizes(case, arrays)]
    )
    tf.saved_model.save(module, str(tmp_path / "served"))
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    tensors = {name: tf.constant(array) for name, array in arrays.items()}
    assert_close(loaded.serve(tensors), case.call(layer, arrays), 1e-6)


@prop
def executions_agree(case, tmp_path):
    """Dense and in tiles, wherever attention is inside: values and gradients."""
    arrays = case.inputs()
    layer = case.built(arrays)
    inside = [x for x in layer._flatten_layers() if hasattr(x, "implementation")]
    found = []
    for how in ("dense", "chunked"):
        for part in inside:
            part.implementation = how
        found.append((numpy(case.call(layer, arrays)), *gradients(case, layer, arrays)))
    for dense, tiled in zip(*found, strict=True):
        assert_close(tiled, dense, 1e-6)


@prop
def any_sizes(case, tmp_path):
    """The twin at other batch sizes and lengths, length 0 included; and a batch of nothing."""
    if case.twin is None or not case.sequences:
        return
    layer = case.built(case.inputs())
    weights = weights_by_name(layer)
    lengths = sorted({case.inputs()[name].shape[1] for name in case.sequences})
    sizes = hypothesis.strategies.integers(0, 2 * max(lengths))

    @hypothesis.settings(max_examples=8, deadline=None)
    @hypothesis.given(
        rows=hypothesis.strategies.integers(1, 4),
        others=hypothesis.strategies.tuples(*[sizes] * len(lengths)),
    )
    def check(rows, others):
        other = dict(zip(lengths, others, strict=True))
        arrays = case.inputs()
        for name, array in arrays.items():
            array = np.take(array, np.arange(rows) % len(array), axis=0)
            if name in case.sequences:
                length = array.shape[1]
                array = np.take(array, np.arange(other[length]) % length, axis=1)
            arrays[name] = array
        assert_close(case.call(layer, arrays), case.twin(weights, arrays), 2e-5)

    check()
    nothing = {name: array[:0] for name, array in case.inputs().items()}
    for output, expected in zip(
        numpy(case.call(layer, nothing)), numpy(case.call(layer, case.inputs())), strict=True
    ):
        assert output.shape == (0, *expected.shape[1:])
