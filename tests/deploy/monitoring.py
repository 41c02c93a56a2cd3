"""What the alert rules and the dashboard name."""

from __future__ import annotations

import json
import re
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "timecoin.rules.yml"
CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD = DEPLOY / "grafana" / "timecoin.json"

_METRIC = re.compile(r"\b(?:timecoin|process)_[a-z_]+")
_ALERT = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)


def metric_names(text: str) -> set[str]:
    """The metrics that an expression, or a whole file of them, reads."""
    return set(_METRIC.findall(text))


def alert_names() -> list[str]:
    """The alerts in the order of the file."""
    return _ALERT.findall(RULES.read_text("utf-8"))


def dashboard_expressions() -> list[str]:
    """Every query of every panel."""
    document = json.loads(DASHBOARD.read_text("utf-8"))
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
