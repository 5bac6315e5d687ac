"""The dashboard and the alert rules ask for what the service really has."""

import json
import re
from pathlib import Path

import pytest
import yaml

from serve import ServeSettings
from serve.problems import STATUS
from tests.serve.conftest import app_client, wait_until
from tests.serve.pictures import gradient, png

OPS = Path(__file__).parents[2] / "docs" / "ops"
DASHBOARD = json.loads((OPS / "grafana-dashboard.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((OPS / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]] + [
    rule["expr"] for rule in RULES
]
FROM_PROMETHEUS = {"instance"}
"""Labels that are given to a sample when it is collected."""


@pytest.fixture(scope="module")
def samples(package):
    """Label names by the name of each sample of a service that joins requests and has a shadow, after a good
    and a bad request.
    """
    shadow, batching = {"package": package, "share": 1}, {"enabled": True}
    with app_client(ServeSettings(package=package, threads=1, shadow=shadow, batching=batching)) as client:
        wait_until(lambda: client.get("/v1/models").json()["shadow"]["state"] == "ready")
        client.post("/v1/segment", content=png(gradient()))
        wait_until(lambda: 'fate="compared"' in client.get("/metrics").text)
        client.post("/v1/segment", content=b"")
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_that_there_are(samples, expression):
    names = set(re.findall(r"afdcd_\w+", expression))
    assert names
    assert names <= samples.keys()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_labels_that_its_metrics_have(samples, expression):
    has = set().union(*(samples[name] for name in re.findall(r"afdcd_\w+", expression))) | FROM_PROMETHEUS
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    asked = {label.strip() for labels in grouped for label in labels.split(",")}
    asked |= set(re.findall(r'(\w+)=~?"', expression))
    assert asked <= has


def test_statuses_in_expressions_are_given_by_the_service():
    named = {
        int(status)
        for expression in EXPRESSIONS
        for group in re.findall(r'status=~?"([^"]*)"', expression)
        for status in group.split("|")
    }
    assert named <= {*STATUS.values(), 500}


def test_every_alert_says_what_is_wrong_and_what_it_means():
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_panels_do_not_overlap():
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
