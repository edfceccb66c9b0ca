"""`tatl-release`: clients who ask for "stable" are always answered, whenever the server looks."""

import http.server
import itertools
import json
import re
import threading

import pytest
import tensorflow as tf

from tatl_keras.bin import release
from tests.bin.conftest import run_program, succeed
from tests.serving.model_server import ModelServer, parse

TEXT = """\
# Mounted at /models.
model_config_list {
  config {
    name: "pets"
    base_path: "/models/pets"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 } }
    version_labels { key: "stable" value: 1 }
  }
}
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that a server could serve."""
    module = tf.Module()
    rows = tf.TensorSpec([None], tf.string, name="text")
    module.serve = tf.function(lambda text: {"label": text}, input_signature=[rows])
    folder = tmp_path_factory.mktemp("saved")
    tf.saved_model.save(module, str(folder), {"serving_default": module.serve})
    return (folder / "saved_model.pb").read_bytes()


@pytest.fixture
def path(tmp_path, saved):
    """A server's file, and versions 1 to 4."""
    for version in ("1", "2", "3", "4"):
        (tmp_path / "pets" / version).mkdir(parents=True)
        (tmp_path / "pets" / version / "saved_model.pb").write_bytes(saved)
    (tmp_path / "models.config").write_text(TEXT)
    return tmp_path / "models.config"


@pytest.fixture
def server(path):
    server = ModelServer(path, path.parent / "pets")
    server.poll()
    return server


def words(path, *more):
    return ["release", f"--models_config={path}", "--model=pets", *more]


def state(path):
    return parse(path.read_text())


def test_it_shows_how_things_are(path):
    (path.parent / "pets" / "9").mkdir()  # not complete
    lines = succeed(*words(path)).out.splitlines()
    assert lines == [
        f"pets: {path.parent / 'pets'}",
        "version  labels  to be loaded",
        "4        -       no",
        "3        -       no",
        "2        -       no",
        "1        stable  yes",
    ]
    assert path.read_text() == TEXT


def test_a_version_on_its_way(path, server):
    out = succeed(*words(path, "--canary=2")).out
    assert "2        canary  yes" in out and "1        stable  yes" in out
    assert state(path) == ({"stable": 1, "canary": 2}, [1, 2])
    server.poll()
    assert server.answers("canary") == 2 and server.answers("stable") == 1
    succeed(*words(path, "--stable=2"))
    assert state(path) == ({"stable": 2, "canary": 2, "previous": 1}, [1, 2])
    server.poll()
    assert server.answers("stable") == 2 and not server.refused
    succeed(*words(path, "--rollback"))
    assert state(path) == ({"stable": 1, "canary": 2}, [1, 2])
    server.read_config()  # nothing has to be loaded for that
    assert server.answers("stable") == 1
    succeed(*words(path, "--retire=canary"))
    assert state(path) == ({"stable": 1}, [1])
    server.poll()
    assert server.loaded == [1] and not server.refused
    assert path.read_text().startswith("# Mounted at /models.\nmodel_config_list {")


def test_the_next_canary_is_loaded_before_the_label_moves(path, server):
    succeed(*words(path, "--canary=2"))
    server.poll()
    out = succeed(*words(path, "--canary=3")).out
    assert "Version 3 is to be loaded; version 2 is the canary as long. Call this again" in out
    assert state(path) == ({"stable": 1, "canary": 2}, [1, 2, 3])
    server.poll()
    assert server.answers("canary") == 2 and server.loaded == [1, 2, 3]
    assert "Call this again" not in succeed(*words(path, "--canary=3")).out
    server.poll()
    assert server.answers("canary") == 3 and server.loaded == [1, 3] and not server.refused


def test_the_double_refuses_what_the_server_would(path, server):
    """Both at once, as nobody should write it: nothing changes, at no poll."""
    succeed(*words(path, "--canary=2"))
    server.poll()
    text = path.read_text().replace("versions: 2", "versions: 2 versions: 3")
    path.write_text(text.replace("value: 2", "value: 3"))
    assert state(path) == ({"stable": 1, "canary": 3}, [1, 2, 3])
    for _ in range(3):
        server.poll()
        assert server.refused == "label canary: version 3 is not available"
        assert server.loaded == [1, 2] and server.answers("stable") == 1


def test_whenever_the_server_looks_clients_are_answered(path):
    """Commands in an order that makes sense, after each of which the server looks, or does not.

    A label that once was answered is, as long as there is such a label.
    """
    commands = [("canary", 2), ("stable", 2), ("canary", 3), ("canary", 3), ("rollback",)]
    for looks in itertools.product([False, True], repeat=len(commands)):
        path.write_text(TEXT)
        server, answered = ModelServer(path, path.parent / "pets"), set()
        server.poll()
        for (name, *arguments), does in zip(commands, looks, strict=True):
            getattr(release.Release(str(path), "pets"), name)(*arguments)
            for look in (server.read_versions, server.read_config, server.read_versions) * does:
                look()
                now = {label for label, v in server.labels.items() if v in server.loaded}
                answered = (answered | now) & set(server.labels)
                assert "stable" in now and answered == now, (looks, name)
        if all(looks):
            assert server.labels == {"stable": 1, "canary": 3} and server.loaded == [1, 3]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--canary=7"],
            r"--canary must be a version in .*pets that holds a SavedModel: \[1, 2, 3",
        ),
        (["--stable=3"], r"Received: --stable=3, with \[1\] loaded. Make it the canary first"),
        (["--rollback"], "with the label previous to go back to. Received: a model with labels {'"),
        (["--retire=canary"], "Received: --retire=canary, of a model with labels {'stable': 1}"),
        (["--retire=stable"], "other than stable. Received: --retire=stable"),
        (["--model=cats"], "Received: name='cats', which is there 0 times"),
    ],
)
def test_what_is_refused(path, flags, message):
    outcome = run_program(*words(path, *flags))
    assert outcome.status == 1 and path.read_text() == TEXT
    assert re.search(message, outcome.err), outcome.err


def test_a_damaged_version_is_refused(path):
    manifest = path.parent / "pets" / "2" / "MANIFEST.json"
    manifest.write_text(json.dumps({"sha256": {"saved_model.pb": "0" * 64}}))
    outcome = run_program(*words(path, "--canary=2"))
    assert outcome.status == 1 and path.read_text() == TEXT
    assert "Received: --canary=2, which has\nerror: checksum: saved_model.pb: It is" in outcome.err


def test_the_first_label_is_stable(path):
    path.write_text(TEXT.replace("version_labels", "# version_labels"))
    outcome = run_program(*words(path, "--canary=2"))
    assert "Received: a model with labels {}. Give --stable first." in outcome.err
    path.write_text('model_config_list { config { name: "pets" base_path: "/models/pets" } }')
    succeed(*words(path, "--stable=4"))
    assert state(path) == ({"stable": 4}, [4])


def test_one_change_at_a_time(path):
    outcome = run_program(*words(path, "--canary=2", "--rollback"))
    assert outcome.status == 2 and "Received: --canary and --rollback" in outcome.err
    assert run_program("release").status == 2


def test_folders(path, tmp_path):
    """The folder beside the file, or where the file says, or where a flag says."""
    where = tmp_path / "elsewhere" / "cats"
    path.write_text(TEXT.replace("/models/pets", str(where)))
    outcome = run_program(*words(path))
    assert outcome.status == 1 and "--versions must be given where neither of these" in outcome.err
    where.mkdir(parents=True)
    assert succeed(*words(path)).out.startswith(f"pets: {where}\n")
    named = succeed(*words(path, f"--versions={tmp_path / 'pets'}")).out
    assert named.startswith(f"pets: {tmp_path / 'pets'}\n") and "4        -" in named
    (tmp_path / "cats").mkdir()
    assert succeed(*words(path)).out.startswith(f"pets: {tmp_path / 'cats'}\n")


@pytest.fixture
def rest(server):
    """The status of REST, of a server that looks at its file whenever it is asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/v1/models/pets":
                return self.send_error(404)
            before = list(server.loaded)
            server.poll()
            states = {v: "AVAILABLE" if v in before else "LOADING" for v in server.loaded}
            found = [{"version": str(v), "state": state} for v, state in states.items()]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"model_version_status": found}).encode())

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=[0.01])
    thread.start()
    yield f"127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


def test_with_a_server_to_ask_one_call_is_enough(path, server, rest, monkeypatch):
    monkeypatch.setattr(release, "_POLL_SECONDS", 0)
    asked = words(path, f"--ask_server={rest}")
    succeed(*asked, "--canary=2")
    server.poll()
    out = succeed(*asked, "--canary=3").out
    assert state(path) == ({"stable": 1, "canary": 3}, [1, 3]) and "Call this" not in out
    assert "3        canary  yes           AVAILABLE" in out
    server.poll()
    assert server.answers("canary") == 3 and not server.refused
    succeed(*asked, "--stable=3")
    server.poll()
    assert server.answers("stable") == 3


def test_a_version_that_is_never_loaded_gets_no_label(path, server, rest, monkeypatch):
    monkeypatch.setattr(release, "_POLL_SECONDS", 0)
    succeed(*words(path, "--canary=2"))
    server.poll()
    monkeypatch.setattr(server, "read_versions", lambda: None)
    outcome = run_program(
        *words(path, f"--ask_server=http://{rest}", "--canary=3", "--load_timeout=0")
    )
    assert outcome.status == 1 and state(path) == ({"stable": 1, "canary": 2}, [1, 2, 3])
    assert "must load version 3 before a label moves to it. Received: state None" in outcome.err


def test_smoke():
    out = succeed("release", "--smoke").out
    assert "2        canary  yes" in out and "1        stable  yes" in out
