"""The double of TensorFlow Serving, with one model under two names, and clients of it."""

import pytest

from tatl_keras import serving
from tatl_keras.data import synthetic
from tatl_keras.serving import client as clients
from tatl_keras.serving.client import requests
from tests.serving.loopback import Loopback


@pytest.fixture(scope="session")
def server(directory):
    models = {"pets": {1: directory, 3: directory}, "größe": {1: directory}}
    with Loopback(models, {"pets": {"stable": 1}}, max_bytes=200_000) as running:
        yield running


@pytest.fixture(params=("grpc", "rest"))
def connect(request, server):
    """A function that makes clients of one protocol; they are closed in the end."""
    made = []
    server.requests.clear()
    server.faults.clear()

    def make(model="pets", **options):
        address = getattr(server, request.param)
        made.append(clients.Client(address, model, protocol=request.param, **options))
        made[-1].protocol = request.param
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(requests, "_FIRST_PAUSE", 0.001)


@pytest.fixture(scope="session")
def images():
    taken = synthetic.examples(3, 12).as_numpy_iterator()
    found = [x["image"] for x, _ in taken]
    return [b"", found[1], b"\xff\xd8 no picture", *found[3:]]


@pytest.fixture(scope="session")
def loaded(server, directory):
    """The server's own SavedModel, so that it is traced once."""
    return serving.LoadedModel(server.find("pets")[0], directory)
