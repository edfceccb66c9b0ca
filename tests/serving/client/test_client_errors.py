"""`serving.client`, where a server is late, gone, wrong or says no."""

import threading
import time

import pytest

from tatl_keras.serving import client as clients


@pytest.mark.parametrize("max_retries", [0, 2])
def test_unavailable_is_tried_again_and_nothing_else(connect, server, max_retries):
    client = connect(max_retries=max_retries)
    server.faults[:] = ["UNAVAILABLE"] * max_retries
    assert client.predict([b""], ["a"])["valid"].tolist() == [True]
    assert len(server.requests) == max_retries + 1
    server.requests.clear()
    server.faults[:] = ["UNAVAILABLE"] * 9
    tried = f"UNAVAILABLE {max_retries + 1} times" if max_retries else "UNAVAILABLE"
    with pytest.raises(clients.ServerError, match=f"{tried}: made up: UNAVAILABLE. Is it run") as e:
        client.predict([b""], ["a"])
    assert len(server.requests) == max_retries + 1 == e.value.attempts


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("INVALID_ARGUMENT", " `metadata"),
        ("RESOURCE_EXHAUSTED", " Lower `max_rows`"),
        ("DEADLINE_EXCEEDED", " Raise `timeout`"),
        ("NOT_FOUND", " The server's log"),
        ("INTERNAL", ""),
    ],
)
def test_other_errors_are_final(connect, server, code, hint):
    server.faults[:] = [code, None]
    with pytest.raises(clients.ServerError, match=f"{code}: made up: {code}.{hint}") as caught:
        connect().predict([b""], ["a"])
    assert (caught.value.code, caught.value.attempts, len(server.requests)) == (code, 1, 1)


def test_a_deadline_ends_a_request(connect, server):
    server.faults[:] = [2.0]
    client = connect(timeout=0.2)
    start = time.monotonic()
    with pytest.raises(clients.ServerError, match="DEADLINE_EXCEEDED.*Raise `timeout`"):
        client.predict([b""], ["a"])
    assert time.monotonic() - start < 1.9 and len(server.requests) == 1


def test_nobody_listens(connect, server, monkeypatch):
    client = clients.Client("127.0.0.1:1", "pets", protocol=connect().protocol, max_retries=2)
    with pytest.raises(clients.ServerError, match="127.0.0.1:1 answered UNAVAILABLE 3 times.*8500"):
        client.predict([b""], ["a"])
    assert client.ready() is False
    client.close()


def test_what_a_server_refuses(connect, server):
    with pytest.raises(clients.ServerError, match=r"NOT_FOUND.*request: Specific\(pets, 2\)"):
        connect(version=2).predict([b""], ["a"])
    with pytest.raises(clients.ServerError, match=r"request: Latest\(cats\)"):
        connect("cats").predict([b""], ["a"])
    with pytest.raises(clients.ServerError, match="servable version label: canary"):
        connect(label="canary").predict([b""], ["a"])
    with pytest.raises(clients.ServerError, match='"nothing" not found'):
        connect().predict([b""], ["a"], "nothing")
    message = r"Sent extra: {image_bytes,text}. Missing but required: {inputs}"
    with pytest.raises(clients.ServerError, match=message):
        connect().predict([b""], ["a"], "classify_examples")
    if connect().protocol == "grpc":
        with pytest.raises(clients.ServerError, match=r"RESOURCE_EXHAUSTED.*Lower `max_rows`"):
            connect().predict([bytes(300_000)], ["a"])


@pytest.mark.parametrize("fault", ["short", "garbage", "drop", "cut"])
def test_wrong_answers_are_errors(connect, server, fault):
    client = connect()
    if client.protocol == "grpc" and fault in ("drop", "cut"):
        pytest.skip("gRPC itself sees to whole answers")
    server.faults[:] = [fault]
    code = "INTERNAL" if fault in ("short", "garbage") else "UNKNOWN"
    with pytest.raises(clients.ServerError, match=code):
        client.predict([b"", b""], ["a", "b"])
    assert len(server.requests) == 1


def test_closing_ends_what_others_wait_for(connect, server):
    client, caught = connect(), []
    server.faults[:] = [3.0]

    def ask():
        try:
            client.predict([b""], ["a"])
        except clients.ServerError as error:
            caught.append(error.code)

    thread = threading.Thread(target=ask)
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    client.close()
    thread.join(2.5)
    assert not thread.is_alive() and caught[0] in ("CANCELLED", "UNKNOWN")
    if client.protocol == "grpc":
        with pytest.raises(clients.ServerError, match="CANCELLED"):
            client.predict([b""], ["a"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "http://h:1"}, "Received: address='http://h:1'. TensorFlow"),
        ({"address": "host"}, "Received: address='host'"),
        ({"address": "host:http"}, "Received: address='host:http'"),
        ({"model": ""}, "Received: model=''"),
        ({"protocol": "http"}, "one of .*Received: 'http'"),
        ({"version": 1, "label": "x"}, "Received: version=1, label='x'"),
        ({"version": "1"}, "at least 0. Received: version='1'"),
        ({"max_rows": 0}, "at least 1. Received: max_rows=0"),
        ({"max_retries": True}, "Received: max_retries=True"),
        ({"max_message_bytes": 10}, "at least 4097. Received: max_message_bytes=10"),
        ({"timeout": 0}, "Received: timeout=0"),
        ({"root_certificates": "a.pem"}, "True with `root_certificates`. Received: tls=False"),
        ({"tls": True, "private_key": "a.pem"}, "come together. Received: private_key"),
    ],
)
def test_wrong_arguments(options, message):
    options = {"address": "h:1", "model": "pets"} | options
    with pytest.raises(ValueError, match=message):
        clients.Client(options.pop("address"), options.pop("model"), **options)


@pytest.mark.parametrize(("images", "texts"), [([], []), ([b""], ["a", "b"])])
def test_columns_must_be_equally_long(connect, images, texts):
    message = f"Received: {len(images)} pictures, {len(texts)} texts"
    for method in (connect().predict, connect().classify_examples):
        with pytest.raises(ValueError, match=message):
            method(images, texts)
