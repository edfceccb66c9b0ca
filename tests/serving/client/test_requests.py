"""What the client sends and reads: sizes, pauses, JSON."""

import json
import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from tatl_keras.serving import client as clients
from tatl_keras.serving.client import grpc_transport, json_arrays, requests, rest_transport
from tests.serving.loopback_rest import _json, _Number


def test_bytes_are_cut_too(connect, server):
    client = connect(max_message_bytes=90_000)
    client.predict([b"\xff" * 30_000] * 5, [""] * 5)
    assert [count for _, count, _ in server.requests] == (
        [2, 2, 1] if client.row_bytes(b"\xff" * 30_000, "") * 2 < 86_000 else [1] * 5
    )
    largest = 90_000 - 4096 - client.row_bytes(b"", "")
    with pytest.raises(ValueError, match="Received: 85904 bytes for rows, and row 1 takes"):
        client.predict([b"", bytes(largest + 4)], ["", ""])
    assert len(server.requests) == 3 or len(server.requests) == 5


@hypothesis.example([15, 15, 1], 8, 30)
@hypothesis.given(
    strategies.lists(strategies.integers(0, 30), min_size=1, max_size=40),
    strategies.integers(1, 8),
    strategies.integers(30, 100),
)
def test_cutting_covers_all_rows_and_keeps_both_limits(sizes, max_rows, max_bytes):
    parts = requests.cut(sizes, max_rows, max_bytes)
    assert [place for part in parts for place in range(part.start, part.stop)] == list(
        range(len(sizes))
    )
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        held = sizes[part]
        assert 0 < len(held) <= max_rows and sum(held) <= max_bytes
        if following is not None:  # no request could have taken one more
            assert len(held) == max_rows or sum(held) + sizes[following.start] > max_bytes


def test_sizes_of_rows_are_never_too_small(monkeypatch):
    rows = [(b"\xff" * size, text.encode()) for size in (0, 1, 2, 1000)
            for text in ("", "x" * 300, "😀\n\x01\"" * 99, "Ω")]  # fmt: skip
    for number in (1, 7):
        for image, text in rows:
            columns = np.array([image] * number, object), np.array([text] * number, object)
            sent = []
            transport = rest_transport.RestTransport("h:1", {"name": "p"}, None, {})
            monkeypatch.setattr(
                transport, "_exchange",
                lambda verb, path, body, deadline, sent=sent: sent.append(body) or (503, b""),
            )  # fmt: skip
            inputs = dict(zip(("image_bytes", "text"), columns, strict=True))
            with pytest.raises(clients.ServerError):
                transport.predict("s", inputs, 1.0)
            assert len(sent[0]) <= 4096 + number * transport.row_bytes(image, text)
            channel = grpc_transport.GrpcTransport("localhost:1", {"name": "p"}, None, {})
            monkeypatch.setattr(
                channel, "_call",
                lambda name, request, seconds, sent=sent: 1 / sent.append(request.ByteSize()),
            )  # fmt: skip
            with pytest.raises(TypeError):
                channel.predict("s", inputs, 1.0)
            assert sent[1] <= 4096 + number * channel.row_bytes(image, text)
            channel.close()


def test_pauses_grow_and_fit_into_the_timeout(monkeypatch):
    monkeypatch.setattr(requests, "_FIRST_PAUSE", 0.1)
    repeat = requests.Repeater(100.0, 8)
    paused, left = [], []
    monkeypatch.setattr(repeat._closed, "wait", lambda seconds: paused.append(seconds))
    monkeypatch.setattr(repeat._random, "random", lambda: 1.0)

    def send(seconds):
        left.append(seconds)
        raise clients.ServerError("UNAVAILABLE", "no", "host:1")

    with pytest.raises(clients.ServerError, match="9 times"):
        repeat(send)
    assert paused == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert left[0] == pytest.approx(100, abs=1) and left == sorted(left, reverse=True)
    short = requests.Repeater(0.3, 8)
    monkeypatch.setattr(short._closed, "wait", time.sleep)
    monkeypatch.setattr(short._random, "random", lambda: 1.0)
    with pytest.raises(clients.ServerError, match="2 times"):
        short(send)


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats()
    | strategies.text(max_size=5),
    lambda inner: strategies.lists(inner, max_size=3)
    | strategies.dictionaries(strategies.sampled_from(["b64", "a", "predictions", "outputs"]),
                              inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@hypothesis.settings(max_examples=100)
@hypothesis.given(JSON, strategies.booleans())
def test_any_json_gives_arrays_or_one_error(answer, by_row):
    transport = rest_transport.RestTransport("h:1", {"name": "p"}, None, {})
    body = answer if not isinstance(answer, list) else {"predictions": answer, "outputs": answer}
    transport._ask = lambda *_: body
    columns = {name: np.array([b"x"], object) for name in ("image_bytes", "text")}
    try:
        found = transport.predict("s", columns, 1.0, by_row=by_row)
    except clients.ServerError as error:
        assert error.code == "INTERNAL"
    else:
        assert all(value.dtype.kind in "bifO" for value in found.values())


@hypothesis.given(strategies.floats(width=32))
def test_float32_survives_the_servers_json(value):
    read = json_arrays.to_array(json.loads(_json([_Number(value)])))
    np.testing.assert_array_equal(read, np.float32([value]))
