"""Messages of TensorFlow Serving: the bytes of tensorflow-serving-api, and arrays in and out."""

import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pool

from tatl_keras import _predict_protos as protos
from tests.goldens import predict_protos as goldens


def ours():
    return goldens.digits(goldens.messages(protos.message, protos.to_proto))


def test_bytes_are_those_of_the_golden_file():
    assert ours() == json.loads(goldens.FILE.read_text(encoding="utf-8"))


def test_bytes_are_those_of_tensorflow_serving_api():
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    assert ours() == goldens.official()


def set_fields(message):
    """Full names of all fields that are set in a message, at any depth."""
    for field, value in message.ListFields():
        yield field.full_name
        if field.type == field.TYPE_MESSAGE:
            values = value.values() if hasattr(value, "values") else value
            for one in values if hasattr(value, "__len__") else [value]:
                if hasattr(one, "ListFields"):
                    yield from set_fields(one)


def test_every_field_is_in_the_golden_messages():
    made = goldens.messages(protos.message, protos.to_proto).values()
    used = {name for message in made for name in set_fields(message)}
    known = {
        f"{protos.PACKAGE}.{name}.{field[1]}"
        for name, fields in protos._MESSAGES.items()
        for field in fields
    }
    assert known - used == {f"{protos.PACKAGE}.SignatureDefMap.signature_def"}  # in an Any


def test_the_common_pool_knows_nothing_of_them():
    protos.message("PredictRequest")
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("tatl_keras/predict_protos.proto")


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(-1, 1, 7, dtype=np.float32).reshape(7, 1),
        np.array([[1, -2], [3, 4]], np.int64),
        np.array([True, False, True]),
        np.array(2.5),
        np.zeros((0, 3), np.int32),
        np.array([1.5, -2], np.float16),
        np.array([1.5, -2], tf.bfloat16.as_numpy_dtype),
        np.arange(6, dtype=np.uint8).reshape(2, 3)[:, ::2],
        np.array([[b"a\0", b""], [b"\xff", "😀".encode()]], object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_pass_through_tensors_both_ways(array):
    sent = protos.to_proto(array).SerializeToString()
    tensor = protos.message("tensorflow.TensorProto").FromString(sent)
    theirs = tf.make_tensor_proto(array).SerializeToString()
    for found in (
        protos.to_array(tensor),
        tf.make_ndarray(tf.compat.v1.make_tensor_proto(array).FromString(sent)),
        protos.to_array(protos.message("tensorflow.TensorProto").FromString(theirs)),
    ):
        assert found.dtype == array.dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def test_a_list_is_of_bytes():
    assert protos.to_array(protos.to_proto([b"a\0", b""])).tolist() == [b"a\0", b""]
    with pytest.raises(ValueError, match="Received: 'a' in values of dtype object. Encode"):
        protos.to_proto([b"a", "a"])
    with pytest.raises(ValueError, match="Received: 1j in values of dtype complex128"):
        protos.to_proto(np.array([1j]))


def test_values_that_do_not_fill_the_shape_are_refused():
    tensor = protos.to_proto(np.zeros((2, 3), np.float32))
    tensor.tensor_content = tensor.tensor_content[:-4]
    with pytest.raises(ValueError, match="cannot reshape"):
        protos.to_array(tensor)
