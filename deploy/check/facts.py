"""What the code says: read from the sources themselves, so that nothing is written twice."""

import re
import tomllib


class Facts:
    """Services, ports, settings, health names, calls, drain time, metrics and labels, as the code has them."""

    def __init__(self, root):
        self.root = root
        serve = self.text("services/muster/src/serve.rs")
        self.services = re.findall(r"(\w+)::NAME", re.search(r"SERVICES: .*?= \[(.*?)\];", serve, re.S)[1])
        # Those that keep something; the others have no database and no seal.
        self.keepers = re.findall(r"\((\w+)::NAME, \w+::SCHEMA", self.text("services/muster/src/migrate.rs"))
        example = self.text("deploy/muster.example.toml")
        settings = tomllib.loads(example)
        self.ports = {name: (settings[name]["port"], settings[name]["admin_port"]) for name in self.services}
        self.keys, self.open_tables = keys(example)
        self.health = set(re.findall(r'pub const \w+: &str = "(\w+)";', self.text("shared/rpc/src/health.rs"))) | {""}
        self.calls = self.read_calls()
        self.drain_seconds = settings["limits"]["drain_ms"] / 1000 + sum(
            int(re.search(rf"const {name}: Duration = Duration::from_secs\((\d+)\);", self.text(file))[1])
            for name, file in [
                ("TASKS_AT_MOST", "shared/host/src/running.rs"),
                ("CLOSE_AT_MOST", "shared/db/src/db.rs"),
                ("LAST_EXPORT_TIMEOUT", "shared/runtime/src/telemetry/trace.rs"),
            ]
        )
        self.metrics, self.labels = self.read_metrics()

    def text(self, path):
        return (self.root / path).read_text()

    def read_calls(self):
        """Who calls whom: the feeds that shared/host opens for every service that keeps something, what a service opens by `deps.peers` itself,
        and the edge every service with a method for the outside. Any other way to a peer is an error here, so that this reading stays complete."""
        replicas = self.text("shared/host/src/replicas.rs")
        everyone, unless_own = opened(replicas)
        calls = set()
        for service in self.services:
            sources = "\n".join(path.read_text() for path in sorted((self.root / "services" / service / "src").rglob("*.rs")))
            if "client::channel(" in sources:
                raise ValueError(f"{service} opens a channel without deps.peers: k8s/base/network.yaml can't be compared with it")
            if service not in self.keepers:
                calls |= {(service, callee) for callee in self.keepers if self.has_edge_method(callee)}
                continue
            callees = {everyone, *opened(sources)}
            if ".feeds_authorizer()" not in sources:
                callees.add(unless_own)
            calls |= {(service, callee) for callee in callees}
        # A service reaches itself by its own port, not through the network.
        return {(caller, callee) for caller, callee in calls if caller != callee}

    def has_edge_method(self, service):
        return any("EXPOSURE_EDGE" in path.read_text() for path in (self.root / "proto/muster" / service).rglob("*.proto"))

    def read_metrics(self):
        """Each metric name with its kind, and every label."""
        kinds, labels = {}, {"service", "job", "instance", "le"}
        for path in [*self.root.glob("services/*/src/**/*.rs"), *self.root.glob("shared/*/src/**/*.rs")]:
            text = path.read_text()
            for kind, name in re.findall(r'\b(counter|gauge|histogram)!\(\s*"(\w+)"', text):
                kinds[name] = kind
            # Names handed to a function that counts or shows, and the process's own, written as text.
            for name in re.findall(r'\bcount\([^"()]*"(\w+)"', text) + re.findall(r'\belse \{ "(muster_\w+_total)" \}', text):
                kinds[name] = "counter"
            for name in re.findall(r'\bshow\(\w+(?:\.\w+)?, "(\w+)"', text):
                kinds[name] = "gauge"
            for name, kind in re.findall(r'line\(text, "(\w+)", "(\w+)"', text):
                kinds[name] = kind
            labels.update(re.findall(r'"(\w+)" =>', text))
        return kinds, labels


def opened(source):
    """The peers that `peers.channel(NAME)` reaches, in order; NAME is a constant."""
    named = dict(re.findall(r'const (\w+): &str = "(\w+)";', source))
    return [named[name] for name in re.findall(r"\bpeers\.channel\(([\w:]+)\)", source)]


def keys(example):
    """Every setting of the example file, also those that are commented out; and tables whose keys are free."""
    found, tables, section = set(), set(), ""
    for line in example.splitlines():
        if head := re.fullmatch(r"\[([\w.]+)\]", line):
            section = head[1]
            tables.add(section)
        elif key := re.match(r"(?:# )?(\w+) =", line):
            found.add(f"{section}.{key[1]}")
    return found, {table for table in tables if not any(key.startswith(f"{table}.") for key in found | (tables - {table}))}
