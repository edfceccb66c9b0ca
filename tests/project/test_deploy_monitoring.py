"""Alerts and the dashboard ask for metrics that the server exports, in PromQL that parses."""

import re
import shutil
import subprocess

import promql_parser
import pytest

from tests.project import serving_files as files

DASHBOARD = "grafana/dashboards/serving.json"
# Kinds of series that Prometheus makes of a metric.
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
# Labels that Prometheus adds to whatever it reads.
TARGET_LABELS = {"instance", "job"}
VARIABLES = {"$__rate_interval": "5m", "$model": ".+"}


def series():
    """Dict from the name of a series to its labels."""
    found = {"up": set()}
    for name, metric in files.server()["metrics"].items():
        for suffix in SUFFIXES[metric["kind"]]:
            extra = {"le"} if suffix == "_bucket" else set()
            found[name + suffix] = set(metric["labels"]) | extra
    return {name: labels | TARGET_LABELS for name, labels in found.items()}


def alerts():
    (group,) = files.document("prometheus/alerts.yml")["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panels():
    return files.document(DASHBOARD)["panels"]


def queries():
    """Dict from where it stands to each PromQL expression."""
    found = {name: rule["expr"] for name, rule in alerts().items()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


def problems(expression):
    """What is wrong with a PromQL expression; raises ValueError where it is none."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    nodes, found, known = [], [], series()
    promql_parser.walk(promql_parser.parse(expression), lambda node: nodes.append(node))
    selectors = [node for node in nodes if isinstance(node, promql_parser.VectorSelector)]
    labels = set(TARGET_LABELS).union(*(known.get(one.name, ()) for one in selectors))
    for selector in selectors:
        if selector.name not in known:
            found.append(f"the server has no metric {selector.name}")
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in known[selector.name]:
                found.append(f"{selector.name} has no label {matcher.name}")
            found += wrong_values(selector.name, matcher)
    for node in nodes:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found += [f"no label {name}" for name in node.modifier.labels if name not in labels]
    return found


def wrong_values(metric, matcher):
    """States that the server never gives."""
    if matcher.name != "status":
        return []
    of_loads = metric.startswith(":tensorflow:cc:") or "warmup" in metric
    known = files.server()["load_statuses" if of_loads else "statuses"]
    return [f"no status {value}" for value in matcher.value.split("|") if value not in known]


@pytest.mark.parametrize("place", queries())
def test_queries_parse_and_name_what_the_server_exports(place):
    assert not problems(queries()[place])


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("rate(:tensorflow:serving:requests[5m])", "the server has no metric"),
        ('rate(:tensorflow:serving:request_count{model="x"}[5m])', "has no label model"),
        ("sum by (version) (:tensorflow:serving:request_count)", "no label version"),
        (':tensorflow:serving:request_count{status="OK|FAILED"}', "no status FAILED"),
        ("rate(:tensorflow:serving:request_latency[5m])", "the server has no metric"),
    ],
)
def test_queries_with_errors_are_found(expression, problem):
    (found,) = problems(expression)
    assert problem in found
    with pytest.raises(ValueError, match="."):
        problems(expression + ")")


def test_prometheus_reads_where_the_server_writes():
    services = files.document("compose.yaml")["services"]
    command = files.flags(services["serving"]["command"])
    monitoring = files.parse_message("MonitoringConfig", files.text("monitoring.config"))
    (job,) = files.document("prometheus/prometheus.yml")["scrape_configs"]
    (targets,) = job["static_configs"]
    assert job["metrics_path"] == monitoring.prometheus_config.path
    assert targets["targets"] == [f"serving:{command['rest_api_port']}"]
    for rule in ("ServingDown", "ServingUnknown"):
        assert f'job="{job["job_name"]}"' in alerts()[rule]["expr"]
    pod = files.manifests()["Deployment", "tatl-serving"]["spec"]["template"]
    annotations = pod["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == command["rest_api_port"]
    assert annotations["prometheus.io/path"] == monitoring.prometheus_config.path


def test_files_are_where_prometheus_and_grafana_look():
    services = files.document("compose.yaml")["services"]
    for name in ("prometheus", "grafana"):
        for volume in services[name]["volumes"]:
            folder = volume.split(":")[0]
            assert not folder.startswith(".") or (files.SERVING / folder).is_dir()
    mounted = dict(v.split(":")[1::-1] for name in services for v in services[name]["volumes"][-3:])
    rules = files.document("prometheus/prometheus.yml")["rule_files"]
    assert rules == ["/etc/prometheus/alerts.yml"]
    assert mounted["/etc/prometheus"] == "./prometheus"
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]
    (provider,) = files.document("grafana/provisioning/dashboards/files.yaml")["providers"]
    assert mounted[provider["options"]["path"]] == "./grafana/dashboards"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/serving.json"
    (source,) = files.document("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    asked = {panel["datasource"]["uid"] for panel in panels()}
    asked |= {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert asked == {source["uid"]}


def test_panels_have_numbers_of_their_own_and_do_not_overlap():
    assert len({panel["id"] for panel in panels()}) == len(panels()) == 12
    taken = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


def test_the_dashboards_variable_is_a_label_of_the_metric_it_is_read_from():
    (variable,) = files.document(DASHBOARD)["templating"]["list"]
    metric, label = re.fullmatch(
        r"label_values\((\S+), (\w+)\)", variable["query"]["query"]
    ).groups()
    assert variable["definition"] == variable["query"]["query"]
    assert label in series()[metric] and f"${variable['name']}" in VARIABLES


def test_what_is_to_be_watched_has_an_alert():
    assert list(alerts()) == [
        *("ServingDown", "ServingUnknown", "ServingErrors", "ServingBadRequests", "ServingSlow"),
        *("ServingModelNotAvailable", "ServingLoadFailed", "ServingRestarts"),
        *("ServingQueue", "ServingQueueFull"),
    ]


def test_what_a_text_of_an_alert_names_the_query_leaves():
    for name, rule in alerts().items():
        words = " ".join(rule["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", words))
        grouped = re.findall(r"(?:sum|max) by \(([\w, ]+)\)", rule["expr"])
        if grouped:
            kept = {label.strip() for label in grouped[0].split(",")}
        else:  # no aggregation: the labels of the series
            (first, *_) = re.findall(r"[:\w]+(?=\{)", rule["expr"])
            kept = series()[first]
        assert named <= kept, name


def unit_tests():
    return files.document("prometheus/alerts.test.yml")["tests"]


def test_every_alert_has_a_test_in_which_it_is_true():
    asked = [one for case in unit_tests() for one in case.get("promql_expr_test", ())]
    wanted = [
        sample["labels"] + one["expr"]
        for one in asked
        if "absent" not in one["expr"]
        for sample in one["exp_samples"]
    ]
    for name in alerts():
        assert any(name in text for text in wanted), name
    quiet = [case["alertname"] for case in unit_tests()[0]["alert_rule_test"]]
    assert quiet == list(alerts())


def test_the_alerts_tests_are_about_series_that_the_server_exports():
    for case in unit_tests():
        for one in case["input_series"]:
            assert not problems(one["series"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Prometheus")
def test_alerts_are_true_when_they_should_be():
    command = ["promtool", "test", "rules", str(files.SERVING / "prometheus" / "alerts.test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
