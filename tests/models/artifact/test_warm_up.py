"""Warm-up requests, taken apart by hand, and models that do not answer them."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import unknown_fields

from tatl_keras.models.artifact import warm_up

FILE = "assets.extra/tf_serving_warmup_requests"
EXAMPLES = [{"image": b"\xff\xd8 one", "text": "Ünï"}, {"image": b"", "text": ""}]
ROWS = {
    name: tf.TensorSpec([None], tf.string, name=name) for name in ("image_bytes", "text", "inputs")
}


def save(folder, **functions):
    """A SavedModel of such signatures; each takes what its arguments are called."""
    module = tf.Module()
    for name, (function, *specs) in functions.items():
        setattr(module, name, tf.function(function, input_signature=specs))
    tf.saved_model.save(module, str(folder), {name: getattr(module, name) for name in functions})
    return folder


def asked(function):
    """A signature of pictures and texts."""
    return function, ROWS["image_bytes"], ROWS["text"]


def lengths(image_bytes, text):
    return {"y": tf.strings.length(text) + 0 * tf.strings.length(image_bytes)}


@pytest.fixture
def healthy(tmp_path):
    spec = tf.TensorSpec
    return save(
        tmp_path / "1",
        serving_default=asked(lengths),
        by_example=(lambda inputs: {"y": tf.strings.length(inputs)}, ROWS["inputs"]),
        tensors=(
            lambda x, mask: {"y": x[:, 0, 0] / tf.cast(mask, tf.float32)},
            spec([None, 700, 500], tf.float32, name="x"),
            spec([None], tf.int32, name="mask"),
        ),
        texts=(
            lambda class_texts: {"y": tf.strings.length(class_texts)},
            spec([None, None, None], tf.string, name="class_texts"),
        ),
    )


def crc32c(data):
    """Bit by bit, with the reflected polynomial of Castagnoli."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def records(path):
    """The records of a TFRecord file, their sums being right."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + length]
        sums = (data[8:12], data[12 + length : 16 + length])
        for part, total in zip((data[:8], record), sums, strict=True):
            crc = crc32c(part)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack("<I", total) == (masked,)
        found.append(record)
        data = data[16 + length :]
    return found


def fields(data):
    """Protobuf's wire format: dict from a field's number to its values, bytes or numbers."""

    def varint(data):
        value = shift = 0
        for place, byte in enumerate(data):
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value, data[place + 1 :]
        raise AssertionError

    found = {}
    while data:
        tag, data = varint(data)
        assert tag & 7 in (0, 2, 5)
        if tag & 7 == 0:
            value, data = varint(data)
        elif tag & 7 == 5:
            value, data = data[:4], data[4:]
        else:
            length, data = varint(data)
            value, data = data[:length], data[length:]
        found.setdefault(tag >> 3, []).append(value)
    return found


def request(record):
    """Signature, and dict from input to (dtype, shape, other fields), of a PredictionLog."""
    (predict_log,) = fields(record)[6]
    (body,) = fields(predict_log)[1]
    spec = fields(fields(body)[1][0])
    inputs = {}
    for entry in map(fields, fields(body)[2]):
        tensor = fields(entry[2][0])
        sizes = [fields(dim)[1][0] for dim in fields(tensor[2][0])[2]]
        rest = {number: value for number, value in tensor.items() if number not in (1, 2)}
        inputs[entry[1][0].decode()] = (tensor[1][0], sizes, rest)
    return spec[3][0].decode(), inputs


def test_bytes_of_the_file(healthy):
    """Numbers of fields and types as of prediction_log.proto, predict.proto and tensor.proto."""
    string, string_val, float_val, int_val = 7, 8, 5, 7
    assert warm_up.write_warm_up(healthy, EXAMPLES, batch_sizes=[1, 3]) == 5
    found = [request(record) for record in records(healthy / FILE)]
    assert [name for name, _ in found] == [
        "serving_default", "serving_default", "by_example", "tensors", "texts",
    ]  # fmt: skip
    first, three, example, tensors, texts = (inputs for _, inputs in found)
    assert first == {
        "image_bytes": (string, [1], {string_val: [b"\xff\xd8 one"]}),
        "text": (string, [1], {string_val: ["Ünï".encode()]}),
    }
    assert three["image_bytes"][1:] == ([3], {string_val: [b"\xff\xd8 one", b"", b"\xff\xd8 one"]})
    assert three["text"][2] == {string_val: ["Ünï".encode(), b"", "Ünï".encode()]}
    ((dtype, shape, values),) = example.values()
    parsed = tf.train.Example.FromString(values[string_val][0]).features.feature
    assert (dtype, shape, sorted(parsed)) == (string, [1], ["image_bytes", "text"])
    assert list(parsed["image_bytes"].bytes_list.value) == [b"\xff\xd8 one"]
    assert list(parsed["text"].bytes_list.value) == ["Ünï".encode()]
    assert tensors == {
        "x": (1, [1, 700, 500], {float_val: [struct.pack("<f", 1)]}),  # one stands for all
        "mask": (3, [1], {int_val: [b"\x01"]}),
    }
    assert texts == {"class_texts": (string, [1, 2, 2], {string_val: [b"a picture"]})}


def test_the_servers_own_protocol_buffers_read_the_same(healthy):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    warm_up.write_warm_up(healthy)
    for record in records(healthy / FILE):
        log = logs.PredictionLog.FromString(record)
        name, inputs = request(record)
        assert log.WhichOneof("log_type") == "predict_log"
        assert log.predict_log.request.model_spec.signature_name == name
        for key, tensor in log.predict_log.request.inputs.items():
            array = tf.make_ndarray(tensor)
            assert list(array.shape) == inputs[key][1]
            if name == "tensors":
                assert (array == 1).all()
        assert len(unknown_fields.UnknownFieldSet(log.predict_log.request)) == 0


def test_made_up_examples_are_of_all_sorts(healthy):
    assert warm_up.write_warm_up(healthy) == 6
    found = [request(record) for record in records(healthy / FILE)]
    assert [inputs["text"][1] for name, inputs in found if name == "serving_default"] == [
        [1], [8], [32],
    ]  # fmt: skip
    pictures, texts = (found[1][1][name][2][8] for name in ("image_bytes", "text"))
    shapes = [tf.io.decode_image(picture).shape.as_list() for picture in pictures if picture]
    assert shapes == [[120, 160, 3]] * 4 and pictures.count(b"") == 4
    assert {len(text) == 0 for text in texts} == {True, False} and max(map(len, texts)) > 200
    assert (healthy / FILE).stat().st_size < 100_000


BROKEN = {
    "needs a picture": (
        lambda image_bytes, text: {"y": tf.map_fn(tf.io.decode_image, image_bytes, tf.uint8)},
        r"request 0 of signature 'serving_default': InvalidArgumentError",
    ),
    "nan": (
        lambda image_bytes, text: {
            "a": tf.strings.length(image_bytes + text),
            "y": 0.0 / tf.cast(tf.strings.length(image_bytes + text), tf.float32),
        },
        r"request 1 of signature 'serving_default': ValueError: output 'y' has numbers that are no",
    ),
    "rows": (
        lambda image_bytes, text: {"y": tf.strings.length(image_bytes + text)[:1]},
        r"request 1 of signature 'serving_default': ValueError: output 'y' has 1 rows, not \{2\}",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_does_not_answer(tmp_path, name):
    function, message = BROKEN[name]
    save(tmp_path / "1", serving_default=asked(function))
    with pytest.raises(ValueError, match=f"requests that its model answers. Received: {message}"):
        warm_up.write_warm_up(tmp_path / "1", EXAMPLES, batch_sizes=[1, 2])


def test_requests_of_another_model_are_found(healthy, tmp_path):
    warm_up.write_warm_up(healthy, EXAMPLES, batch_sizes=[1])
    for name, message in {
        "serving_default": r"'serving_default': ValueError: inputs \['image_bytes', 'text'\], not",
        "other": "request 0 of signature 'serving_default': KeyError",
    }.items():
        other = save(tmp_path / name, **{name: (lambda inputs: {"y": inputs}, ROWS["inputs"])})
        (other / "assets.extra").mkdir()
        (other / FILE).write_bytes((healthy / FILE).read_bytes())
        with pytest.raises(ValueError, match=message):
            warm_up.replay(other)


def test_a_file_that_no_server_would_read(healthy, capfd):
    assert warm_up.replay(healthy) == 0
    warm_up.write_warm_up(healthy, EXAMPLES, batch_sizes=[1])
    first, contents = records(healthy / FILE)[0], (healthy / FILE).read_bytes()
    (healthy / FILE).write_bytes(contents[:-1])
    with pytest.raises(ValueError, match="cannot be read after 3 requests: "):
        warm_up.replay(healthy)
    with tf.io.TFRecordWriter(str(healthy / FILE)) as file:
        file.write(b"\xff")
    with pytest.raises(ValueError, match="cannot be read after 0 requests: "):
        warm_up.replay(healthy)
    with tf.io.TFRecordWriter(str(healthy / FILE)) as file:
        for _ in range(1001):
            file.write(first)
    with pytest.raises(ValueError, match="must hold at most 1000 warm-up requests. Received: more"):
        warm_up.replay(healthy)
    assert "deprecated" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"examples": []}, "Received: examples="),
        ({"batch_sizes": []}, "Received: batch_sizes="),
        ({"batch_sizes": [1, 0]}, r"Received: batch_sizes=\[1, 0\]"),
        ({"batch_sizes": [1] * 998}, "at most 1000 requests. Received: 1001"),
    ],
)
def test_arguments_out_of_bounds(healthy, given, message):
    with pytest.raises(ValueError, match=message):
        warm_up.write_warm_up(healthy, **given)
    assert not (healthy / FILE).exists()


def test_crc32c_is_that_of_the_standard():
    """RFC 3720, B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(bytes(range(32))) == 0x46DD794E
    assert np.uint32(crc32c(b"\xff" * 32)) == 0x62A8AB43
