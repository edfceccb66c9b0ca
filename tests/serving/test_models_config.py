"""`models.config`: nothing is lost, and a server that polls it never sees a half."""

import concurrent.futures
import re
import threading

import pytest

from tatl_keras.serving import ModelsConfig
from tests.serving import model_server

TEXT = """\
# Two models.
#   Labels move with tatl-release.

model_config_list {
  config {
    name: "pets"
    base_path: "/models/pets/"
    model_platform: "tensorflow"
    version_labels { key: "stable" value: 3 }
    logging_config {
      log_collector_config { type: "file" filename_prefix: "/logs/pets" }
      sampling_config { sampling_rate: 0.25 }
    }
    model_version_policy { specific { versions: 3 versions: 5 } }
    version_labels { key: "canary" value: 5 }
  }
  config {
    name: 'birds' base_path: "/models/birds" model_version_policy { latest { num_versions: 2 } }
  }
  config { name: "fish" base_path: "gs://bucket/fish" model_version_policy { all {} } }
  config { name: "frogs" base_path: "/models/frogs" }
}
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_what_it_says(path):
    config = ModelsConfig(path)
    assert config.names == ["pets", "birds", "fish", "frogs"]
    assert config.labels("pets") == {"canary": 5, "stable": 3} and config.labels("birds") == {}
    assert config.base_path("fish") == "gs://bucket/fish"
    present = [1, 3, 5, 7]
    served = {name: config.served(name, present) for name in config.names}
    assert served == {"pets": [3, 5], "birds": [5, 7], "fish": present, "frogs": [7]}
    assert config.served("pets", [1, 3]) == [3] and config.served("frogs", []) == []


def test_only_what_is_changed_changes(path):
    config = ModelsConfig(path)
    config.set_labels("pets", {"stable": 5, "previous": 3}, also=[8])
    config.write()
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Two models.\n#   Labels move with tatl-release.\n\nmodel_config_list")
    pets, birds, fish, frogs = re.split(r"\bconfig \{", text)[1:]
    assert model_server.parse(pets) == ({"stable": 5, "previous": 3}, [3, 5, 8])
    words = " ".join(pets.split())
    assert 'name: "pets" base_path: "/models/pets/" model_platform: "tensorflow"' in words
    assert 'type: "file" filename_prefix: "/logs/pets"' in words and "sampling_rate: 0.25" in words
    assert " ".join(birds.split()) == (
        'name: "birds" base_path: "/models/birds" '
        "model_version_policy { latest { num_versions: 2 } } }"
    )
    assert model_server.parse(fish) == ({}, "all") and model_server.parse(frogs) == ({}, 1)
    config.set_labels("pets", {"stable": 9})  # and once more, from what it wrote itself
    config.write()
    assert ModelsConfig(path).served("pets", [3, 5, 8, 9]) == [9]


def test_comments_stay_before_their_fields(path):
    path.write_text(
        "\n# Top.\n\n#  Second.\nmodel_config_list {\n# One.\n  config { # lost\n    # Name #1.\n"
        "    name: 'a'\n    # Policy.\n    model_version_policy {\n  # Latest.\n  latest {}\n }\n"
        "  }\n    # Two.\n  config {\n  # Name of b.\n   name: 'b#'\n }\n}\n# End.\n"
    )
    config = ModelsConfig(path)
    config.set_labels("a", {"stable": 1})
    config.write()
    text = path.read_text()
    assert text.splitlines() == [
        "", "# Top.", "", "#  Second.", "model_config_list {", "  # One.", "  config {",
        "    # Name #1.", '    name: "a"', "    # Policy.", "    model_version_policy {",
        "      specific {", "        versions: 1", "      }", "    }", "    version_labels {",
        '      key: "stable"', "      value: 1", "    }", "  }", "  # Two.", "  config {",
        "    # Name of b.", '    name: "b#"', "  }", "}", "# Latest.", "# End.",
    ]  # fmt: skip
    config.write()
    ModelsConfig(path).write()
    assert path.read_text() == text


def test_the_servers_own_protocol_buffers_read_the_same(path):
    server = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    before = text_format.Parse(TEXT, server.ModelServerConfig())
    config = ModelsConfig(path)
    config.set_labels("pets", {"canary": 5, "stable": 3})
    config.write()
    after = text_format.Parse(path.read_text(encoding="utf-8"), server.ModelServerConfig())
    assert after == before and after.model_config_list.config[0].version_labels["canary"] == 5


@pytest.mark.parametrize(
    "text",
    [
        "custom_model_config { }",
        'model_config_list { config { name: "pets" model_type: TENSORFLOW } }',
        "model_config_list { config {",
        "name: 'pets'",
        b"\xff\xfe",
    ],
    ids=["custom", "deprecated", "half", "other", "no text"],
)
def test_what_is_not_understood_is_refused(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"that are understood. Received: path='{path}': "):
        ModelsConfig(path)
    assert path.read_bytes() == before


def test_no_file_and_no_model(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"Received: path='{tmp_path}', which is no file"):
        ModelsConfig(tmp_path)
    with pytest.raises(ValueError, match=r"\['pets', .*Received: name='cats', which is there 0 t"):
        ModelsConfig(path).labels("cats")
    path.write_text("model_config_list { config { name: 'a' } config { name: 'a' } }")
    with pytest.raises(ValueError, match="name='a', which is there 2 times"):
        ModelsConfig(path).labels("a")
    with pytest.raises(ValueError, match="Received: labels={}"):
        ModelsConfig(path).set_labels("a", {})


def test_what_another_has_changed_meanwhile_is_not_overwritten(path):
    one, other = ModelsConfig(path), ModelsConfig(path)
    other.set_labels("pets", {"stable": 5})
    other.write()
    one.set_labels("pets", {"stable": 1})
    with pytest.raises(ValueError, match="Received: a file that has been changed meanwhile"):
        one.write()
    assert ModelsConfig(path).labels("pets") == {"stable": 5}


def test_a_reader_never_sees_half_of_it(path):
    """Whoever reads while it is written gets one whole state after the other."""
    config, done = ModelsConfig(path), threading.Event()

    def read():
        seen = []
        while not done.is_set():
            text = path.read_text(encoding="utf-8")
            assert text.startswith("# Two models.") and "frogs" in text and text[-2:] == "}\n"
            labels, versions = model_server.parse(text.split("birds")[0])
            assert versions == [labels["stable"]] or labels == {"stable": 3, "canary": 5}
            seen.append(labels["stable"])
        return seen

    with concurrent.futures.ThreadPoolExecutor() as threads:
        reading = threads.submit(read)
        try:
            for version in range(4, 104):
                config.set_labels("pets", {"stable": version})
                config.write()
        finally:
            done.set()
        seen = reading.result(timeout=60)
    assert seen == sorted(seen)


def test_versions_that_are_named(path, tmp_path):
    for name in ("pets", "birds", "fish", "frogs", "owls"):
        for version in range(1, 7):
            (tmp_path / name / str(version)).mkdir(parents=True)
            (tmp_path / name / str(version) / "saved_model.pb").touch()
    config = ModelsConfig(path)
    assert config.named(tmp_path / "pets") == {3, 5} and config.named(tmp_path / "birds") == {5, 6}
    assert config.named(tmp_path / "fish") == set() and config.named(tmp_path / "frogs") == {6}
    assert config.named(tmp_path / "owls") == set()
