"""What must hold of the rendered manifests beside their schema. Each function answers faults in words."""

import re

from render import containers

PREFIX = "MUSTER__"


def check(objects, facts):
    """Every fault of one rendered overlay."""
    faults = []
    for rule in (deployments, pods, probes, ports, settings, references, services, budgets, network, no_secrets):
        faults += rule(objects, facts)
    return faults


def of(objects, kind):
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def workloads(objects):
    return [o for o in objects if o["kind"] in ("Deployment", "Job")]


def deployments(objects, facts):
    """One for each service, of one image; those of services that keep something the same but for name and ports, the others without a database
    and a seal."""
    found, faults, shapes, images = of(objects, "Deployment"), [], {}, set()
    if set(found) != set(facts.services):
        faults.append(f"there are deployments {sorted(found)}, and services {sorted(facts.services)}")
    for name, o in found.items():
        port, admin = facts.ports.get(name, (0, 0))
        if name in facts.keepers:
            shape = re.sub(rf"\b{name}\b", "SERVICE", str(o))
            shapes[name] = shape.replace(str(port), "PORT").replace(str(admin), "ADMIN")
        elif re.search(r"DATABASE|database|\.seal", str(o)):
            faults.append(f"deployment {name} has a database or a seal, and keeps nothing")
        images |= {container["image"] for container in containers(o)}
        if containers(o)[0]["args"] != ["serve", name]:
            faults.append(f"deployment {name} runs {containers(o)[0]['args']}")
    images |= {container["image"] for job in of(objects, "Job").values() for container in containers(job)}
    if len(images) != 1:
        faults.append(f"not one image but {sorted(images)}")
    if len(set(shapes.values())) > 1:
        faults.append("the deployments differ in more than name and ports")
    return faults


def pods(objects, facts):
    """Pod Security Standard `restricted`, bounded resources, and time enough to drain."""
    faults = []
    for o in workloads(objects):
        name, spec = f"{o['kind']} {o['metadata']['name']}", o["spec"]["template"]["spec"]
        security = spec.get("securityContext", {})
        if not security.get("runAsNonRoot") or security.get("seccompProfile") != {"type": "RuntimeDefault"}:
            faults.append(f"{name}: pods must run as non-root under the runtime's seccomp profile")
        if spec.get("automountServiceAccountToken") is not False:
            faults.append(f"{name}: no pod needs a token of the cluster")
        for container in spec["containers"]:
            own = container.get("securityContext", {})
            if (own.get("allowPrivilegeEscalation"), own.get("readOnlyRootFilesystem"), own.get("capabilities")) != (False, True, {"drop": ["ALL"]}):
                faults.append(f"{name}: a container keeps a privilege or a writable root")
            for kind in ("requests", "limits"):
                if not {"cpu", "memory"} <= set(container.get("resources", {}).get(kind, {})):
                    faults.append(f"{name}: a container has no {kind} of cpu and memory")
        if o["kind"] == "Deployment":
            pause = containers(o)[0]["lifecycle"]["preStop"]["sleep"]["seconds"]
            if spec["terminationGracePeriodSeconds"] < pause + facts.drain_seconds:
                faults.append(f"{name}: is killed after {spec['terminationGracePeriodSeconds']} s, draining takes {pause + facts.drain_seconds} s")
    return faults


def probes(objects, facts):
    """Three gRPC probes on the admin port, of health names that there are."""
    faults = []
    for name, o in of(objects, "Deployment").items():
        for probe, wanted in (("startupProbe", "liveness"), ("livenessProbe", "liveness"), ("readinessProbe", "readiness")):
            grpc = containers(o)[0].get(probe, {}).get("grpc", {})
            if grpc.get("service") not in facts.health:
                faults.append(f"{name}: {probe} asks for health name {grpc.get('service')!r}, there are {sorted(facts.health)}")
            elif grpc["service"] != wanted:
                faults.append(f"{name}: {probe} asks for {grpc['service']}, not {wanted}")
            if grpc.get("port") != facts.ports.get(name, (0, 0))[1]:
                faults.append(f"{name}: {probe} asks port {grpc.get('port')}, which is not the admin port")
    return faults


def ports(objects, facts):
    """The ports of containers, services and scrape annotations are the code's."""
    faults = []
    for name, o in of(objects, "Deployment").items():
        own = facts.ports.get(name, (0, 0))
        if tuple(port["containerPort"] for port in containers(o)[0]["ports"]) != own:
            faults.append(f"{name}: container ports are not {own}")
        if o["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] != str(own[1]):
            faults.append(f"{name}: Prometheus is sent to another port than {own[1]}")
    for name, o in of(objects, "Service").items():
        port = facts.ports.get(o["spec"]["selector"]["app.kubernetes.io/name"], (0, 0))[0]
        if [entry["port"] for entry in o["spec"]["ports"]] != [port]:
            faults.append(f"service {name}: its port is not {port}")
    return faults


def settings(objects, facts):
    """Every variable is a setting; every address of a peer is one of its Services: of all its pods for a feed, of the ready ones for the edge."""
    shared = {key: value for o in of(objects, "ConfigMap").values() for key, value in o["data"].items()}
    own = {o["metadata"]["name"]: {entry["name"]: entry.get("value", "") for c in containers(o) for entry in c.get("env", [])} for o in workloads(objects)}
    faults = [f"{variable} is no setting" for variable in {*shared, *(name for env in own.values() for name in env)} if not is_setting(variable, facts)]
    services = of(objects, "Service")
    for caller, callee in sorted(facts.calls):
        address = {**shared, **own.get(caller, {})}.get(f"{PREFIX}SUITE__PEERS__{callee.upper()}", "")
        host = re.fullmatch(r"http://([\w-]+):(\d+)", address)
        target = services.get(host[1]) if host else None
        if not target or target["spec"]["selector"]["app.kubernetes.io/name"] != callee or int(host[2]) != facts.ports[callee][0]:
            faults.append(f"{caller}: suite.peers.{callee} is {address!r}, which is no Service of {callee}")
        elif caller in facts.keepers and not target["spec"].get("publishNotReadyAddresses"):
            faults.append(f"{caller}: suite.peers.{callee} is {address}, which has ready pods alone: a first start would wait for ever")
        elif caller not in facts.keepers and target["spec"].get("publishNotReadyAddresses"):
            faults.append(f"{caller}: suite.peers.{callee} is {address}, which has pods that refuse people's calls")
    return faults


def is_setting(variable, facts):
    key = variable.removeprefix(PREFIX).lower().replace("__", ".")
    return variable.startswith(PREFIX) and (key in facts.keys or key.rpartition(".")[0] in facts.open_tables)


def references(objects, facts):
    """A service's secrets are its own, by name; the ConfigMap of settings is there."""
    faults = []
    for name, o in of(objects, "Deployment").items():
        text = str(o)
        for secret in re.findall(r"'(?:secretName|secret|secretRef)': (?:\{'name': )?'([\w-]+)'", text):
            if not secret.startswith(f"{name}-"):
                faults.append(f"{name}: reads the secret {secret} of another")
        if containers(o)[0]["envFrom"][0]["configMapRef"]["name"] not in of(objects, "ConfigMap"):
            faults.append(f"{name}: its settings are not there")
        if o["spec"]["template"]["spec"]["serviceAccountName"] not in of(objects, "ServiceAccount"):
            faults.append(f"{name}: its service account is not there")
    return faults


def services(objects, facts):
    """A headless Service of ready pods for each service."""
    found = of(objects, "Service")
    faults = [f"service {name} is not there" for name in facts.services if name not in found]
    for name, o in found.items():
        if o["spec"].get("clusterIP") != "None":
            faults.append(f"service {name} is not headless: its callers would stick to one pod")
        if name in facts.services and o["spec"].get("publishNotReadyAddresses"):
            faults.append(f"service {name} sends callers to pods that are not ready")
    return faults


def budgets(objects, facts):
    """Every service has a disruption budget and an autoscaler that name it."""
    faults = []
    for name in facts.services:
        budget, scaler = of(objects, "PodDisruptionBudget").get(name), of(objects, "HorizontalPodAutoscaler").get(name)
        if not budget or budget["spec"]["selector"]["matchLabels"] != {"app.kubernetes.io/name": name}:
            faults.append(f"{name} has no disruption budget")
        if not scaler or scaler["spec"]["scaleTargetRef"]["name"] != name:
            faults.append(f"{name} has no autoscaler")
    return faults


def network(objects, facts):
    """Nothing unless allowed; what is allowed between services is exactly what they call, on both ends; admin ports for two sorts alone."""
    policies, faults = of(objects, "NetworkPolicy"), []
    shut = policies.get("default-deny", {}).get("spec")
    if shut != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
        faults.append("nothing denies by default")
    for end, direction, mine in (("from", "ingress", 1), ("to", "egress", 0)):
        edges = set()
        for policy in (policies[name] for name in facts.services if name in policies):
            own = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
            for rule in policy["spec"].get(direction, []):
                for peer in rule[end]:
                    other = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
                    callee = own if mine else other
                    if other:
                        edges.add((other, own) if mine else (own, other))
                        port = facts.ports.get(callee, (0, 0))[0]
                        if [entry["port"] for entry in rule["ports"]] != [port]:
                            faults.append(f"network: {own} and {other} meet on another port than {port}")
                    if direction == "ingress" and facts.ports[own][1] in [port["port"] for port in rule["ports"]] and peer not in ADMIN:
                        faults.append(f"network: {peer} reaches the admin port of {own}")
        faults += [f"network: {direction} {a} -> {b} is allowed, and the code has no such call" for a, b in sorted(edges - facts.calls)]
        faults += [f"network: {direction} {a} -> {b} is a call, and is not allowed" for a, b in sorted(facts.calls - edges)]
    return faults


ADMIN = (
    {"namespaceSelector": {"matchLabels": {"muster.example/role": "monitoring"}}},
    {"podSelector": {"matchLabels": {"muster.example/component": "operator"}}},
)


def no_secrets(objects, _):
    return [f"secret {o['metadata']['name']} stands in the manifests" for o in objects if o["kind"] == "Secret"]
