"""What `tatl-zoo check_install` says of encoders that are carried along, cached or on a hub."""

import http.server
import shutil
import socket
import threading
import time

from tatl_keras.bin import checking_presets
from tatl_keras.bin.findings import BAD, NOTE


def test_carried_encoders(tmp_path, monkeypatch, repo):
    for name in ("efficientnet_lite0", "minilm_l6"):
        (tmp_path / name).mkdir()
        for file in ("README.md", "config.json"):
            shutil.copy(repo / "saved_models" / "encoders" / name / file, tmp_path / name)
        (tmp_path / name / "model.weights.h5").write_bytes(b"damaged")
    monkeypatch.setenv("TATL_KERAS_PRESETS", str(tmp_path))
    image, text = checking_presets.check_carried()
    assert image.mark == text.mark == BAD and "model.weights.h5 is damaged" in image.found
    (tmp_path / "efficientnet_lite0" / "model.weights.h5").unlink()
    (tmp_path / "minilm_l6" / "README.md").unlink()
    image, text = checking_presets.check_carried()
    assert (image.mark, text.mark) == (BAD, NOTE)
    assert image.found.endswith("has no model.weights.h5")
    assert text.found.endswith("has no README.md with its digest")
    monkeypatch.setattr("tatl_keras.encoders.presets._folders", lambda: [tmp_path / "nowhere"])
    for found in checking_presets.check_carried():
        assert found.mark == NOTE and "export TATL_KERAS_PRESETS=" in found.advice


def test_hubs_that_answer_refuse_or_are_silent(monkeypatch):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(403)

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    silent, closed = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    ports = [server.server_port, silent.getsockname()[1], closed.getsockname()[1]]
    closed.close()
    names = ("answers", "silent", "closed")
    hubs = {n: f"http://127.0.0.1:{p}" for n, p in zip(names, ports, strict=True)}
    monkeypatch.setattr(checking_presets, "HUBS", hubs)
    monkeypatch.setenv("no_proxy", "*")
    answers = checking_presets.ask_hubs(seconds=0.5)
    server.shutdown()
    server.server_close()
    silent.close()
    assert isinstance(answers["answers"], float) and answers["closed"] == "Connection refused"
    assert answers["silent"] in ("nothing within 0.5 s", "timed out")


def test_hubs_out_of_reach_are_no_error(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    (found,) = checking_presets.check_hubs()  # tests may not look up hosts
    assert found.mark == NOTE and "Tests must not look up hosts" in found.found
    assert "run again" in found.advice and "--image_preset=FOLDER" in found.advice


def test_a_lookup_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    woken = threading.Event()

    def hang(*args, **kwargs):
        woken.wait(30)
        raise OSError("given up")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    answers = checking_presets.ask_hubs(seconds=0.1)
    waited = time.monotonic() - start
    woken.set()
    assert set(answers.values()) == {"nothing within 0.1 s"} and waited < 20


def test_cached_presets(tmp_path, monkeypatch):
    whole = tmp_path / "kagglehub" / "models" / "keras" / "bert" / "keras" / "bert_tiny_en"
    whole.mkdir(parents=True)
    (whole / "3.complete").touch()
    (whole.parent / "half_loaded" / "1").mkdir(parents=True)
    hub = tmp_path / "hf" / "hub"
    (hub / "models--google--vit" / "snapshots" / "0a1b").mkdir(parents=True)
    (hub / "models--google--vit" / "snapshots" / "0a1b" / "config.json").touch()
    (hub / "models--google--asked_for" / "refs").mkdir(parents=True)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert checking_presets.cached_presets() == ["bert_tiny_en", "hf://google/vit"]
    (found,) = checking_presets.check_hubs(ask=False)
    assert found.found == "not asked (--noask_hubs); cached: bert_tiny_en, hf://google/vit"
