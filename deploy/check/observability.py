"""What must hold of compose, the image, alert rules, runbook and dashboards. Each function answers faults in words."""

import json
import re
import shutil
import subprocess
import tempfile

import yaml

from manifests import is_setting

# Words of PromQL that look like a name of a metric.
WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool"}
# What Prometheus itself makes of a scrape.
OF_PROMETHEUS = {"up"}
# What containers of others take; nothing of it is a setting of Muster. DATABASE_URL is read by `muster migrate bootstrap`.
FOREIGN = re.compile(r"POSTGRES_\w+|GF_\w+|DATABASE_URL")


def check(root, facts):
    """Every fault of deploy/ under `root`."""
    faults = []
    for rule in (alerts, dashboards, promql, scraping, compose, image):
        faults += [f"deploy: {fault}" for fault in rule(root / "deploy", facts)]
    return faults


def names_in(expression):
    """Metric names and label names of a PromQL expression."""
    plain = re.sub(r'"[^"]*"', '""', expression)
    labels = [label for block in re.findall(r"\{([^}]*)\}", plain) for label in re.findall(r"(\w+)\s*[!=]~?", block)]
    labels += [label for block in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", plain) for label in re.findall(r"\w+", block)]
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without)\s*\([^)]*\)", " ", plain)
    words = re.findall(r"(?<![\w.$])([a-z_]\w*)\b(?!\s*\()", plain)
    return [word for word in words if word not in WORDS], labels


def unknown_in(expression, facts):
    """What `expression` names and the code does not export."""
    metrics, labels = names_in(expression)
    return [name for name in metrics if name not in OF_PROMETHEUS and not exported(name, facts)] + [
        f"label {label}" for label in labels if label not in facts.labels
    ]


def exported(name, facts):
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return facts.metrics.get(name, "histogram") != "histogram" if base == name else facts.metrics.get(base) == "histogram"


def alerts(deploy, facts):
    """Each alert names what is exported and has its section in the runbook; each section has an alert and says three things."""
    faults, seen = [], set()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (deploy / "runbook.md").read_text(), re.S | re.M))
    for group in yaml.safe_load((deploy / "prometheus/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            name = rule["alert"]
            seen.add(name)
            faults += [f"alert {name}: {unknown} is not exported" for unknown in unknown_in(rule["expr"], facts)]
            if rule["labels"].get("severity") not in ("page", "ticket"):
                faults.append(f"alert {name} has no severity")
            if name not in sections or rule["annotations"].get("runbook_url") != f"deploy/runbook.md#{name.lower()}":
                faults.append(f"alert {name} has no section in the runbook")
    for name, text in sections.items():
        if name not in seen:
            faults.append(f"runbook: {name} is no alert")
        if not all(f"**{part}.**" in text for part in ("Means", "Look", "Do")):
            faults.append(f"runbook: {name} does not say what it means, where to look and what to do")
        for metric in re.findall(r"\b(?:muster|identity|process)_\w+", text):
            if not exported(metric, facts):
                faults.append(f"runbook: {name}: {metric} is not exported")
    return faults


def has_promtool():
    return shutil.which("promtool") is not None


def promql(deploy, _):
    """What Prometheus' own reader says of the alert rules, and of the dashboards' queries as if they were rules; where it is."""
    if not has_promtool():
        return []
    queries = [expression for _, _, expression in queries_of(deploy)]
    # What Grafana puts in.
    rules = [{"record": "dashboard:query", "labels": {"number": str(n)}, "expr": q.replace("$__rate_interval", "5m")} for n, q in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        answer = subprocess.run(["promtool", "check", "rules", deploy / "prometheus/alerts.yaml", file.name], capture_output=True, text=True)
    return [] if answer.returncode == 0 else [f"promtool: {answer.stderr.strip()}"]


def queries_of(deploy):
    """Each query of a dashboard, with the dashboard's name and its panel."""
    for path in sorted((deploy / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, panel, target["expr"]


def dashboards(deploy, facts):
    """Each query names what is exported, of a data source that is provisioned."""
    faults, seen = [], False
    sources = [source["uid"] for source in yaml.safe_load((deploy / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]]
    for dashboard, panel, expression in queries_of(deploy):
        seen = True
        faults += [f"dashboard {dashboard}, {panel['title']}: {unknown} is not exported" for unknown in unknown_in(expression, facts)]
        if panel["datasource"]["uid"] not in sources:
            faults.append(f"dashboard {dashboard}, {panel['title']}: its data source is not provisioned")
    return faults if seen else ["no dashboard asks for anything"]


def scraping(deploy, facts):
    """Prometheus asks the admin port of every service."""
    config = yaml.safe_load((deploy / "prometheus/prometheus.yaml").read_text())
    targets = {target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]}
    wanted = {f"{name}:{admin}" for name, (_, admin) in facts.ports.items()}
    return [] if targets == wanted else [f"Prometheus asks {sorted(targets)}, the admin ports are {sorted(wanted)}"]


def compose(deploy, facts):
    """Every service once, settings that there are, files that there are, images with a tag, loopback alone."""
    faults, found = [], {}
    services = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        command = service.get("command", [])
        if command[:1] == ["serve"]:
            found[name] = command[1:]
        tag = service["image"].partition(":")[2]
        if tag in ("", "latest"):
            faults.append(f"compose: {name} has an image without a tag")
        for variable in service.get("environment", {}):
            if not is_setting(variable, facts) and not FOREIGN.fullmatch(variable):
                faults.append(f"compose: {name}: {variable} is no setting")
        for other in service.get("depends_on", {}):
            if other not in services:
                faults.append(f"compose: {name} waits for {other}, which is not there")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not (deploy / source).exists():
                faults.append(f"compose: {name} mounts {source}, which is not there")
        for port in service.get("ports", []):
            address, outer, inner = port.split(":")
            if address != "127.0.0.1" or (name in facts.ports and (outer != inner or int(inner) not in facts.ports[name])):
                faults.append(f"compose: {name} publishes {port}")
        address = service.get("environment", {}).get("MUSTER__TELEMETRY__OTLP_ENDPOINT")
        listening = yaml.safe_load((deploy / "collector/collector.yaml").read_text())["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
        if address and address.rpartition(":")[2] != listening.rpartition(":")[2]:
            faults.append(f"compose: {name} sends traces to {address}, the collector listens on {listening}")
    if found != {name: [name] for name in facts.services}:
        faults.append(f"compose: serves {found}, the services are {facts.services}")
    return faults


def image(deploy, _):
    """Bases with a tag, no root, no HEALTHCHECK."""
    text = (deploy / "image/Dockerfile").read_text()
    faults = [f"image: the base {base} has no tag" for base in re.findall(r"^FROM (\S+)", text, re.M) if base.rpartition(":")[2] in (base, "latest")]
    if not re.search(r"^USER [1-9]\d*:[1-9]\d*$", text.rpartition("\nFROM ")[2], re.M):
        faults.append("image: it runs as root")
    if re.search(r"^HEALTHCHECK", text, re.M):
        faults.append("image: probes ask for health, not the image")
    return faults
