"""The client over TLS, with certificates of both ends that openssl makes for the test."""

import shutil
import subprocess

import pytest
import tensorflow as tf

from tatl_keras.serving import client as clients
from tests.serving.loopback import Loopback


class Lengths(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def lengths(self, image_bytes, text):
        return {"picture": tf.strings.length(image_bytes), "text": tf.strings.length(text)}


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A running double and the paths of its key and certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl, which makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    module = Lengths()
    tf.saved_model.save(module, str(folder / "1"), signatures={"lengths": module.lengths})
    with Loopback({"m": {1: str(folder / "1")}}, tls=(key, certificate)) as running:
        yield running, key, certificate


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_both_ends_show_their_certificate(secured, protocol):
    server, key, certificate = secured
    own = {"private_key": key, "certificate_chain": certificate}

    def ask(**options):
        address = getattr(server, protocol)
        options |= {"protocol": protocol, "max_retries": 0, "timeout": 20.0}
        with clients.Client(address, "m", **options) as client:
            return client.predict([b"\xff\0"], ["abc"], "lengths")

    found = ask(tls=True, root_certificates=certificate, **own)
    assert {name: value.tolist() for name, value in found.items()} == {"picture": [2], "text": [3]}
    count = len(server.requests)
    for options in (
        {"tls": True, **own},  # the server's certificate is not one of the system's
        {"tls": True, "root_certificates": certificate},  # the client shows none
        {},  # no TLS at all
    ):
        with pytest.raises(clients.ServerError):
            ask(**options)
    assert len(server.requests) == count
