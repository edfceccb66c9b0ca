"""`serving.client`: the model's own numbers through both protocols."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.serving import client as clients
from tests.serving.loopback import Loopback

TEXTS = [
    "a grey cat",
    "",
    "Größe 😀 日本",
    "NUL\0inside",
    b"\xff\xfe not UTF-8",
    " ",
    '"quoted\\',
] + [""] * 5


def equal(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        kind = found[name].dtype.kind
        assert kind == values.dtype.kind and (kind == "O" or found[name].dtype == values.dtype)
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_all_signatures_answer_bit_for_bit(connect, server, loaded, images):
    client = connect()
    equal(client.predict(images, TEXTS), loaded.answer(images, TEXTS))
    inputs = {"image_bytes": images, "text": TEXTS}
    for signature in ("classify", "embed"):
        found = client.predict(images, TEXTS, signature)
        ran = server.run(server.find("pets"), signature, inputs)
        equal(found, ran)
    top = client.classify(images, TEXTS)
    equal(top, server.run(server.find("pets"), "classify", inputs))
    by_examples = client.classify_examples(images, TEXTS)
    np.testing.assert_array_equal(by_examples["scores"], top["probabilities"])
    assert by_examples["classes"].tolist() == top["labels"].tolist()
    assert {rows for _, rows, _ in server.requests} == {len(TEXTS)}


@pytest.mark.parametrize("max_rows", [1, 5, 12])
def test_rows_are_cut_and_joined_in_order(connect, server, loaded, images, max_rows):
    found = connect(max_rows=max_rows).predict(images, TEXTS)
    rows = [count for _, count, _ in server.requests]
    assert sum(rows) == 12 and max(rows) == max_rows and len(rows) == -(-12 // max_rows)
    expected = loaded.answer(images, TEXTS, batch_size=max_rows)
    equal(found, expected)


def test_names_versions_and_labels(connect, server, loaded):
    expected = loaded.answer([b""], ["a cat"])
    for options in ({"version": 1}, {"version": 3}, {"label": "stable"}, {"model": "größe"}):
        client = connect(**options)
        assert client.ready()
        equal(client.predict([b""], ["a cat"]), expected)
    available = [{"version": v, "state": "AVAILABLE", "error": ""} for v in (1, 3)]
    assert connect().status() == available
    assert connect(version=3).status() == available[1:]
    assert not connect(version=2).ready() and not connect(label="canary").ready()
    server.faults[:] = ["UNAVAILABLE", "INTERNAL"]
    assert not connect().ready()
    with pytest.raises(clients.ServerError, match="INTERNAL"):
        connect().ready()


def test_metadata(connect):
    found = connect().metadata()
    assert {"serving_default", "classify", "classify_examples", "embed"} <= set(found)
    assert found["serving_default"]["inputs"] == {
        "image_bytes": ("string", (None,)),
        "text": ("string", (None,)),
    }
    assert found["serving_default"]["outputs"]["probabilities"] == ("float32", (None, 3))
    assert found["serving_default"]["outputs"]["valid"] == ("bool", (None,))


def test_headers_reach_the_server(connect, server):
    connect(headers={"Authorization": "Bearer abc"}).predict([b""], ["a"])
    headers = {name.lower(): value for name, value in server.requests[0][2].items()}
    assert headers["authorization"] == "Bearer abc"


def test_threads_share_a_client(connect, server, loaded, images):
    client, found = connect(max_rows=3), {}

    def ask(place):
        found[place] = client.predict(images[place:6], TEXTS[place:6])

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(3):
        expected = loaded.answer(images[place:6], TEXTS[place:6], batch_size=3)
        equal(found[place], expected)


class Echo(tf.Module):
    """Answers with the class texts it got."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2
                 + [tf.TensorSpec([None, None, None], tf.string)])  # fmt: skip
    def classify_with_texts(self, image_bytes, text, class_texts):
        joined = tf.strings.reduce_join(class_texts[0], -1, separator="|")
        rows = tf.repeat(tf.strings.reduce_join(joined, separator="/")[None], tf.shape(text)[0])
        return {"label": tf.strings.join([text, rows], ":"), "picture_bytes": image_bytes}


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_texts_of_classes_go_along_with_every_request(protocol, tmp_path):
    echo = Echo()
    signatures = {"classify_with_texts": echo.classify_with_texts}
    tf.saved_model.save(echo, str(tmp_path / "1"), signatures=signatures)
    with Loopback({"echo": {1: str(tmp_path / "1")}}) as running:
        address = getattr(running, protocol)
        with clients.Client(address, "echo", protocol=protocol, max_rows=2) as client:
            found = client.classify_with_texts(
                [b"", b"\xff", b"2"], ["a", "b", "c"], ["Größe", ["x", "y"]]
            )
            for wrong in ([], ["a", []], ["a", " "]):
                with pytest.raises(ValueError, match="none of them blank. Received: class_texts="):
                    client.classify_with_texts([b""], ["a"], wrong)
        assert [rows for _, rows, _ in running.requests] == [2, 1]
    assert [text.decode() for text in found["label"]] == [f"{x}:Größe|/x|y" for x in "abc"]
    assert found["picture_bytes"].tolist() == [b"", b"\xff", b"2"]
