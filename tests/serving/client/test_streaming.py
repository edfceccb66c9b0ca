"""`serving.client.stream`: every row in its place, few requests at once."""

import threading

import numpy as np
import pytest

from tatl_keras.serving import client as clients


class Fake:
    """A client without a server: the answer names the text; requests wait until they may go on."""

    address, max_rows, max_bytes = "host:1", 3, 100

    def __init__(self, error=None):
        self.error, self.under_way, self.most, self.asked = error, 0, 0, []
        self.lock, self.go = threading.Lock(), threading.Event()
        self.go.set()

    def row_bytes(self, image, text):
        return len(image) + len(text)

    def predict(self, images, texts):
        with self.lock:
            self.asked.append(list(texts))
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.go.wait(20)
        with self.lock:
            self.under_way -= 1
        if self.error is not None and texts[0] == self.error[0]:
            raise clients.ServerError(self.error[1], "no", "host:1")
        label = np.array([text.encode() for text in texts], object)
        return {"label": label, "probabilities": np.full((len(texts), 2), 0.1, np.float32)}


def examples(count):
    return [(f"id {place}", b"x", f"text {place}") for place in range(count)]


def test_rows_are_those_of_the_model(connect, loaded, images):
    texts = ["a", "", "Größe 😀"] * 4
    rows = [(str(place), *row) for place, row in enumerate(zip(images, texts, strict=True))]
    rows.insert(5, ("lost", OSError("no such file"), b""))
    found = [row for some in clients.stream(connect(max_rows=4), rows) for row in some]
    assert [row["id"] for row in found] == [row[0] for row in rows]
    assert found.pop(5) == {"id": "lost", "error": "no such file"}
    expected = loaded.answer(images, texts)
    for place, row in enumerate(found):
        values = np.float32(row["probabilities"])
        np.testing.assert_allclose(values, expected["probabilities"][place], atol=1e-6)
        assert np.float32(row["probability"]) == values.max()
        assert row["label"].encode() == expected["label"][place]
        assert row["evidence"].encode() == expected["evidence"][place]
        assert row["valid"] is bool(expected["valid"][place])


@pytest.mark.parametrize("in_flight", [1, 3])
def test_few_requests_are_under_way_and_none_is_read_ahead(in_flight):
    client, read = Fake(), []
    client.go.clear()

    def source():
        for row in examples(30):
            read.append(row)
            yield row

    answers = clients.stream(client, source(), in_flight=in_flight)
    threading.Timer(0.2, client.go.set).start()
    first = next(answers)
    assert [row["id"] for row in first] == ["id 0", "id 1", "id 2"]
    assert client.most == in_flight
    # Those under way, one request's worth that waits, and the row that began the next.
    assert len(read) == 3 * (in_flight + 1) + 1
    rest = [row["id"] for some in answers for row in some]
    assert rest == [f"id {place}" for place in range(3, 30)]
    assert client.most <= in_flight


def test_requests_keep_the_limit_of_bytes():
    rows = [("a", b"x" * 60, ""), ("b", b"x" * 60, ""), ("c", b"x" * 101, ""), ("d", b"", "d")]
    client = Fake()
    found = [row for some in clients.stream(client, rows) for row in some]
    assert [row["id"] for row in found] == list("abcd")
    assert found[2]["error"] == "takes 101 bytes, more than a request's 100"
    assert sorted(client.asked) == [[""], ["", "d"]]


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"])
def test_an_error_about_rows_is_theirs(code):
    client = Fake(("text 3", code))
    found = [row for some in clients.stream(client, examples(9)) for row in some]
    assert [row["id"] for row in found] == [f"id {place}" for place in range(9)]
    wrong = ["error" in row for row in found]
    assert wrong == [False] * 3 + [True] * 3 + [False] * 3
    assert found[4]["error"].startswith(f"host:1 answered {code}: no.")


@pytest.mark.parametrize("code", ["UNAVAILABLE", "NOT_FOUND", "UNAUTHENTICATED"])
def test_an_error_about_all_rows_ends_it(code):
    client = Fake(("text 3", code))
    answers = clients.stream(client, examples(300), in_flight=2)
    assert len(next(answers)) == 3
    with pytest.raises(clients.ServerError, match=code):
        list(answers)
    assert len(client.asked) <= 5


def test_a_model_of_another_kind_is_an_error(monkeypatch):
    client = Fake()
    monkeypatch.setattr(client, "predict", lambda images, texts: {"label": np.array([b"a"])})
    with pytest.raises(clients.ServerError, match="no 'probabilities' among the outputs"):
        list(clients.stream(client, examples(1)))


@pytest.mark.parametrize("in_flight", [0, True, 1.5])
def test_in_flight_is_a_number(in_flight):
    with pytest.raises(ValueError, match=f"Received: in_flight={in_flight}"):
        clients.stream(Fake(), [], in_flight=in_flight)
