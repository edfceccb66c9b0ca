"""What deploy/serving tells schedulers and the server is what they take, and fits together."""

import http.server
import re
import subprocess
import threading

import pytest
from google.protobuf import text_format

from tatl_keras.models.artifact import batching
from tatl_keras.serving.models_config import ModelsConfig
from tests.project import serving_files as files

NAME = "tatl-serving"
SELECTOR = {"app.kubernetes.io/name": NAME}


def serving():
    return files.document("compose.yaml")["services"]["serving"]


def pod():
    return files.manifests()["Deployment", NAME]["spec"]["template"]["spec"]


def container():
    (only,) = pod()["containers"]
    return only


def predictor():
    return files.document("kserve/inferenceservice.yaml")["spec"]["predictor"]


def commands():
    """The flags of the server in both files."""
    return [files.flags(serving()["command"]), files.flags(container()["args"])]


def test_both_start_the_same_server_in_the_same_way():
    compose, kubernetes = commands()
    assert compose == kubernetes
    assert serving()["image"] == container()["image"]
    assert serving()["entrypoint"] == container()["command"]
    image, tag = serving()["image"].split(":")
    assert image == "tensorflow/serving" and tag == predictor()["model"]["runtimeVersion"]
    assert f"at {tag} " in files.server()["source"]
    shared = files.flags(predictor()["model"]["args"])
    assert set(shared.items()) <= set(compose.items())


def test_flags_that_the_server_does_not_have_are_found():
    for word in ("--enable_batchin=true", "--enable_batching=yes", "--port", "port=8500"):
        with pytest.raises(AssertionError):
            files.flags([word])


def test_threads_are_as_many_as_the_cores_that_the_server_gets():
    (command, _), limits = commands(), serving()["deploy"]["resources"]["limits"]
    cores = int(limits["cpus"])
    assert int(container()["resources"]["limits"]["cpu"]) == cores
    assert int(container()["resources"]["requests"]["cpu"]) <= cores
    shared = files.parse_message("BatchingParameters", files.text("batching.config"))
    assert shared.num_batch_threads.value == cores
    for name in ("tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism"):
        assert int(command[name]) == cores
    assert command["batching_parameters_file"].endswith("/batching.config")
    threads = int(command["grpc_max_threads"]) + int(command["rest_api_num_threads"])
    assert threads < limits["pids"]
    # A request keeps a thread while it waits; fewer could not fill two batches.
    assert int(command["grpc_max_threads"]) >= 2 * batching.LARGEST_BATCH
    assert int(command["rest_api_num_threads"]) >= 2 * batching.LARGEST_BATCH


def test_memory_has_limits_and_the_temporary_folder_is_part_of_it():
    limit = files.bytes_of(serving()["deploy"]["resources"]["limits"]["memory"])
    resources = container()["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert files.bytes_of(resources["limits"]["memory"]) == limit == 4 << 30
    (tmp,) = [volume["emptyDir"] for volume in pod()["volumes"] if volume["name"] == "tmp"]
    assert files.bytes_of(tmp["sizeLimit"]) < limit / 10
    (mount,) = serving()["tmpfs"]
    assert files.bytes_of(re.search(r"size=(\w+)", mount)[1]) < limit / 10


def test_no_container_has_rights():
    for name, service in files.document("compose.yaml")["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"]
        user, group = map(int, service["user"].split(":"))
        assert user > 0 and group > 0
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "the image is not pinned"
        assert service["init"] is True and service["healthcheck"]["test"][0] == "CMD"
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")
        for volume in service["volumes"]:  # what is written to has a name, and is no folder of ours
            assert volume.endswith(":ro") or re.match(r"[a-z]+:", volume)
    security = container()["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert f"{pod()['securityContext']['runAsUser']}:1000" == serving()["user"]
    assert pod()["automountServiceAccountToken"] is False
    writable = [m["name"] for m in container()["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["tmp"]


def test_files_that_flags_name_are_where_they_are_mounted():
    mounts = {m["mountPath"]: m["name"] for m in container()["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert set(mounts.values()) == set(volumes)
    targets = dict(volume.rsplit(":", 2)[1::-1] for volume in serving()["volumes"])
    (configuration,) = [m for kind, m in files.manifests().items() if kind[0] == "ConfigMap"]
    assert volumes["configuration"]["configMap"]["name"] == configuration["metadata"]["name"]
    for name, text in configuration["data"].items():
        assert text == files.text(name)
        assert targets[f"/etc/tatl/{name}"] == f"./{name}"
    for command in commands():
        for name in ("batching", "monitoring"):
            (path,) = [v for v in command.values() if v.endswith(f"/{name}.config")]
            folder, file = path.rsplit("/", 1)
            assert mounts[folder] == "configuration" and file in configuration["data"]
        models = command["model_config_file"].rsplit("/", 1)[0]
        assert mounts[models] == "models" and targets[models].endswith("saved_models}")
        assert int(command["model_config_file_poll_wait_seconds"]) > 0
    claim = volumes["models"]["persistentVolumeClaim"]
    assert ("PersistentVolumeClaim", claim["claimName"]) in files.manifests()


def test_the_example_of_models_config_and_what_follows_from_labels(tmp_path):
    config = ModelsConfig(files.SERVING / "models.config")
    assert config.names == ["pets"] and config.labels("pets") == {"stable": 1}
    (command, _) = commands()
    folder = command["model_config_file"].rsplit("/", 1)[0]
    assert config.base_path("pets") == f"{folder}/pets"
    # With labels the server does not start without it.
    assert command["allow_version_labels_for_unavailable_models"] == "true"
    canary = ModelsConfig(files.SERVING / "canary.models.config")
    assert canary.labels("pets") == {"canary": 2, "stable": 1}
    assert canary.served("pets", [1, 2, 3]) == [1, 2]
    (tmp_path / "models.config").write_text(files.text("models.config"))
    changed = ModelsConfig(tmp_path / "models.config")
    changed.set_labels("pets", canary.labels("pets"))
    changed.write()
    assert changed.served("pets", [1, 2, 3]) == canary.served("pets", [1, 2, 3])


def test_the_other_files_of_the_server_have_fields_that_it_knows():
    monitoring = files.parse_message("MonitoringConfig", files.text("monitoring.config"))
    assert monitoring.prometheus_config.enable is True
    with pytest.raises(text_format.ParseError, match="enabled"):
        files.parse_message("MonitoringConfig", "prometheus_config { enabled: true }")
    shared = files.parse_message("BatchingParameters", files.text("batching.config"))
    # All else counts for no model once each has parameters of its own.
    given = {field.name for field, _ in shared.ListFields()}
    assert given == {"num_batch_threads", "thread_pool_name"}


def test_probes_ask_for_what_the_server_answers():
    (command, _), model = commands(), ModelsConfig(files.SERVING / "models.config")
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"grpc": int(command["port"]), "rest": int(command["rest_api_port"])}
    status = re.compile(files.server()["status_path"])
    for probe in ("startupProbe", "readinessProbe"):
        asked = container()[probe]["httpGet"]
        assert asked["port"] == "rest"
        name, _, label, part = status.fullmatch(asked["path"]).groups()
        assert name in model.names and label in model.labels(name) and part == "metadata"
    assert container()["livenessProbe"]["grpc"] == {"port": ports["grpc"]}
    assert command["enable_grpc_healthcheck_service"] == "true"
    startup, live = container()["startupProbe"], container()["livenessProbe"]
    retries = int(command["max_num_load_retries"]) * int(command["load_retry_interval_micros"])
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60 + retries / 1e6
    assert live["periodSeconds"] * live["failureThreshold"] >= 60  # a busy server is not a dead one


def test_a_server_ends_without_losing_requests():
    (sleep, seconds) = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "/bin/sleep"
    (command, _) = commands()
    # The longest request ends before SIGTERM, and SIGTERM comes before SIGKILL.
    assert int(command["rest_api_timeout_in_ms"]) / 1000 < int(seconds)
    assert int(seconds) < pod()["terminationGracePeriodSeconds"]
    assert pod()["shareProcessNamespace"] is True  # process 1 would not hear SIGTERM


def test_kubernetes_finds_pods_by_their_labels():
    manifests = files.manifests()
    deployment = manifests["Deployment", NAME]["spec"]
    assert deployment["template"]["metadata"]["labels"] == SELECTOR
    assert "replicas" not in deployment  # the autoscaler's
    assert deployment["selector"]["matchLabels"] == SELECTOR
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == SELECTOR
    assert manifests["PodDisruptionBudget", NAME]["spec"]["selector"]["matchLabels"] == SELECTOR
    policy = manifests["NetworkPolicy", NAME]["spec"]
    assert policy["podSelector"]["matchLabels"] == SELECTOR and policy["egress"] == []
    scaler = manifests["HorizontalPodAutoscaler", NAME]["spec"]
    scaled = scaler["scaleTargetRef"]
    assert (scaled["apiVersion"], scaled["kind"], scaled["name"]) == ("apps/v1", "Deployment", NAME)
    # With one server a budget of one lost would mean none at all.
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    (metric,) = scaler["metrics"]
    assert metric["resource"]["name"] in container()["resources"]["requests"]
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    for name, port in ((NAME, "rest"), (f"{NAME}-grpc", "grpc")):
        service = manifests["Service", name]["spec"]
        assert service["selector"] == SELECTOR
        (served,) = service["ports"]
        assert served["targetPort"] == port and served["port"] == ports[port]
    allowed = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert allowed == set(ports)


class Answers(http.server.BaseHTTPRequestHandler):
    """Stands for the server: 200 for the label "stable" of "pets", else 404."""

    def do_GET(self):  # noqa: N802
        status = re.compile(files.server()["status_path"]).fullmatch(self.path)
        good = status and status.groups() == ("pets", None, "stable", "metadata")
        self.send_response(200 if good else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def port():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as answers:
        threading.Thread(target=answers.serve_forever, daemon=True).start()
        yield answers.server_address[1]
        answers.shutdown()


def check_health(port, model):
    """Runs the health check of compose.yaml as Compose would, but for the port."""
    words = serving()["healthcheck"]["test"]
    (command, _) = commands()
    script = words[3].replace("$$", "$")
    own = f"/{command['rest_api_port']}\n"
    assert words[:3] == ["CMD", "/bin/bash", "-c"] and f"127.0.0.1/{own[1:-1]} " in script
    assert words[5] == "${TATL_MODEL:-pets}"
    script = script.replace(f"127.0.0.1{own[:-1]}", f"127.0.0.1/{port}")
    done = subprocess.run(
        [*words[1:3], script, words[4], model], timeout=30, stdin=subprocess.DEVNULL,
        capture_output=True,
    )  # fmt: skip
    return done.returncode


def test_the_health_check_tells_a_served_model_from_others_and_from_no_server(port):
    assert check_health(port, "pets") == 0
    assert check_health(port, "dogs") == 1
    closed = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    free = closed.server_address[1]
    closed.server_close()
    assert check_health(free, "pets") == 1
