"""Each file in deploy/serving has fields that its reader knows; and those for training too."""

import copy

import kubernetes_validate
import pytest

from tests.project import serving_files as files

KUBERNETES = ("1.29", "1.37")  # the oldest and the newest that the files are checked against


def test_the_compose_file_is_one():
    assert not files.errors("compose", files.document("compose.yaml"))


@pytest.mark.parametrize("change", [("mem_limits", 3), ("tmpfs", 64), ("ports", 8500)])
def test_compose_files_with_errors_are_none(change):
    broken = copy.deepcopy(files.document("compose.yaml"))
    broken["services"]["serving"][change[0]] = change[1]
    assert files.errors("compose", broken)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field_of_the_manifests(version):
    for manifest in files.manifests().values():
        kubernetes_validate.validate(manifest, version, strict=True)
    for name in ("job.yaml", "volume.yaml"):  # those for training
        for manifest in files.documents(f"../training/kubernetes/{name}"):
            kubernetes_validate.validate(manifest, version, strict=True)
    broken = copy.deepcopy(files.manifests()["Deployment", "tatl-serving"])
    broken["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readyProbe"):
        kubernetes_validate.validate(broken, version, strict=True)


def test_kserve_knows_every_field_of_the_service():
    service = files.document("kserve/inferenceservice.yaml")
    assert not files.errors("inferenceservice", service)
    service["spec"]["predictor"]["canaryTraffic"] = 10
    (error,) = files.errors("inferenceservice", service)
    assert "canaryTraffic" in error


def test_all_kinds_are_there_once():
    kinds = sorted(kind for kind, _ in files.manifests())
    assert kinds == [
        *("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy"),
        *("PersistentVolumeClaim", "PodDisruptionBudget", "Service", "Service"),
    ]


def test_configuration_rules_and_provisioning_have_fields_that_are_known():
    for schema, name in (
        ("prometheus", "prometheus/prometheus.yml"),
        ("alerts", "prometheus/alerts.yml"),
        ("grafana_provisioning", "grafana/provisioning/datasources/prometheus.yaml"),
        ("grafana_provisioning", "grafana/provisioning/dashboards/files.yaml"),
        ("grafana_dashboard", "grafana/dashboards/serving.json"),
    ):
        contents = files.document(name)
        assert not files.errors(schema, contents), name
        broken = copy.deepcopy(contents)
        broken["surplus"] = 1
        assert files.errors(schema, broken), name
