"""What is watched: every metric that an alert, the dashboard or the autoscaler names is told by the gateway or by vLLM itself."""

import ast
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from rendered import SERVING, named, of_kind, pod_of

from globe.gateway.metrics import Metrics
from globe.gateway.status import Status

COMPONENTS = SERVING / "components"
RULES = yaml.safe_load((COMPONENTS / "monitoring" / "rules.yaml").read_text())["spec"]["groups"][0]["rules"]
DASHBOARD = json.loads((COMPONENTS / "monitoring" / "dashboard.json").read_text())
SCALED = yaml.safe_load((COMPONENTS / "keda" / "scaledobject.yaml").read_text())["spec"]
METRIC = re.compile(r"\b(?:vllm:|globe_)\w+")
LABELS = {"namespace", "pod", "globe_dev_model", "le"}
"""Labels that Prometheus, or the ServiceMonitor, gives every series, or that a histogram has."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def queries():
    """All that is asked of Prometheus, by where."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in RULES}
    for panel in DASHBOARD["panels"]:
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    (trigger,) = SCALED["triggers"]
    return found | {"autoscaler": trigger["metadata"]["query"]}


@cache
def vllms():
    """The metrics of the pinned vLLM by name, with their labels, as its source makes them."""
    spec = importlib.util.find_spec("vllm")
    if not spec:
        pytest.skip("needs vLLM")
    found = {}
    for path in sorted(Path(spec.origin).parent.glob("v1/**/*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            given = {key.arg: key.value for key in getattr(call, "keywords", [])}
            kind = re.search(r"counter|gauge|histogram", ast.unparse(call.func)) if isinstance(call, ast.Call) else None
            if kind and isinstance(given.get("name"), ast.Constant) and str(given["name"].value).startswith("vllm:"):
                labels = set(re.findall(r"'(\w+)'", ast.unparse(given["labelnames"]))) if "labelnames" in given else set()
                name = given["name"].value.removesuffix("_total") if kind[0] == "counter" else given["name"].value
                found |= {name + suffix: labels | {"model_name", "engine"} for suffix in SUFFIXES[kind[0]]}
    assert len(found) > 40
    return found


def ours():
    """The gateway's metrics by name, with their labels."""
    found = {}
    for collector in Metrics(Status()).registry._collector_to_names:
        if kind := SUFFIXES.get(collector._type):
            found |= {collector._name + suffix: set(collector._labelnames) for suffix in kind}
    return found


@pytest.mark.parametrize(("where", "query"), queries().items(), ids=queries())
def test_every_metric_and_label_of_a_query_is_one_that_is_told(where, query):
    told = vllms() | ours()
    names = [name for name in METRIC.findall(query) if name not in LABELS]
    assert names
    assert set(names) <= told.keys()
    for name, matchers in re.findall(r"\b((?:vllm:|globe_gateway)\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\"", matchers)) <= told[name] | LABELS
    by = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.findall(r"\w+", group)}
    assert by <= set().union(*(told[name] for name in names)) | LABELS
    assert query.count("(") == query.count(")")


def test_a_metric_that_nobody_tells_is_noticed():
    assert "vllm:gpu_cache_usage_perc" not in vllms()
    assert {
        "vllm:num_requests_running",
        "vllm:request_success_total",
        "vllm:time_to_first_token_seconds_bucket",
    } <= vllms().keys()
    assert {"globe_gateway_ready", "globe_gateway_requests_total", "globe_gateway_answer_seconds_bucket"} <= ours().keys()


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) >= 8
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert len(rule["annotations"]["runbook"]) > 60, rule["alert"]
        for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
            aggregated = re.search(r"by \(([^)]*)\)", rule["expr"])
            assert label in (aggregated[1] if aggregated else LABELS), rule["alert"]


def test_the_alert_on_slow_answers_comes_before_the_gateway_gives_up():
    from globe.gateway.settings import GatewaySettings

    (rule,) = [rule for rule in RULES if rule["alert"] == "GlobeSlow"]
    assert float(rule["expr"].rpartition(">")[2]) < GatewaySettings().answer_timeout_s


def test_the_autoscaler_adds_a_replica_before_an_engine_is_full():
    engine = named(pod_of(of_kind(SERVING / "base", "Deployment")[0])["spec"]["containers"], "vllm")
    at_once = int(engine["args"][engine["args"].index("--max-num-seqs") + 1])
    assert float(SCALED["triggers"][0]["metadata"]["threshold"]) <= at_once / 2


def test_the_dashboards_panels_lie_side_by_side_and_ask_the_datasource_that_is_chosen():
    seen = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & seen
        assert place["x"] + place["w"] <= 24
        seen |= cells
        assert panel["datasource"]["uid"] == "$datasource"
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "namespace"}
