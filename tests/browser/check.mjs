// The official gRPC-Web clients against a suite of its own, started by `muster up` on ports of the kernel's choice: first from Node, then on a page in
// Chromium whose origin the gateway allows, then on one whose origin it does not. Exits with 1 when anything was not as it should be.
//
// Environment: MUSTER and CHROMIUM, the binaries. Argument: a folder to work in, which holds descriptors.binpb.

import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import XMLHttpRequest from "xhr2";
import { clients, contract } from "./clients.mjs";
import { tell } from "./story.mjs";

const { MUSTER, CHROMIUM } = process.env;
const work = process.argv[2];
const PASSWORD = "correct horse battery staple";
/** Nothing that is waited for takes longer. */
const AT_MOST = 90_000;
const CHROMIUM_FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

const descriptors = readFileSync(join(work, "descriptors.binpb"));
const bundle = await build({ entryPoints: ["page.mjs"], bundle: true, format: "esm", write: false, logLevel: "error" });

/** A server of pages on an origin of its own. `world` is set before a page is opened. */
async function origin() {
  const pages = { world: {}, ended: async () => 0, told: () => {} };
  const answers = {
    "/": () => ["text/html", '<!doctype html><title>muster</title><script type="module" src="/page.js"></script>'],
    "/page.js": () => ["text/javascript", bundle.outputFiles[0].contents],
    "/descriptors": () => ["application/octet-stream", descriptors],
    "/world": () => ["application/json", JSON.stringify(pages.world)],
    "/watches/CANCELLED": async () => ["text/plain", String(await pages.ended("CANCELLED"))],
  };
  const server = createServer(async (request, response) => {
    if (request.method === "POST") {
      let body = "";
      for await (const piece of request) body += piece;
      response.end();
      return pages.told(JSON.parse(body));
    }
    const [type, body] = (await answers[request.url]?.()) ?? [];
    response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(pages, { url: `http://127.0.0.1:${server.address().port}` });
}

/** `muster up`, which lets pages of `allowed` call; answers what it says when it is ready, and how it is stopped. */
async function up(allowed) {
  const services = ["gateway", "identity", "authorization", "tasks", "audit", "notifications"];
  const ports = services.flatMap((service) => ["--set", `${service}.port=0`, "--set", `${service}.admin_port=0`]);
  const { DATABASE_URL, NATS_URL, REDIS_URL, ...environment } = process.env;
  const allow = ["--set", `gateway.allowed_origins=["${allowed}"]`];
  const suite = spawn(MUSTER, ["up", "--json", "--folder", join(work, "suite"), ...ports, ...allow], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [suite.stdout, suite.stderr]) stream.on("data", (piece) => (said += piece));
  process.once("exit", () => suite.kill("SIGTERM"));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const ended = new Promise((resolve) => suite.on("exit", resolve));
  const stop = () => end(suite, ended);
  const ready = new Promise((resolve, reject) => {
    createInterface(suite.stdout).on("line", (line) => line.startsWith("{") && resolve(JSON.parse(line)));
    ended.then(() => reject(new Error(`muster up ended early: ${said}`)));
  });
  const { services: running, keys } = await within(ready, () => `muster up is not ready: ${said}`);
  return { at: Object.fromEntries(running.map((one) => [one.service, one])), keys, stop };
}

/** Opens `pages` in a new Chromium; answers what the page reports. */
async function browse(pages, name) {
  const flags = [...CHROMIUM_FLAGS, `--user-data-dir=${join(work, name)}`, pages.url];
  const browser = spawn(CHROMIUM, flags, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  browser.stderr.on("data", (piece) => (said += piece));
  const ended = new Promise((resolve) => browser.on("exit", resolve));
  const told = new Promise((resolve, reject) => {
    pages.told = resolve;
    ended.then(() => reject(new Error(`Chromium ended early: ${said}`)));
  });
  try {
    return await within(told, () => `the page reports nothing: ${said}`);
  } finally {
    await end(browser, ended);
  }
}

/** Ends a child, which has five seconds to end well. */
async function end(child, ended) {
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await ended;
  clearTimeout(late);
}

async function within(what, late) {
  let timer;
  const expired = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(late())), AT_MOST)));
  return Promise.race([what, expired]).finally(() => clearTimeout(timer));
}

/** How many watches ended at the service, by the metrics of its admin port. */
async function ended(metrics, code) {
  const shown = await (await fetch(metrics)).text();
  const words = ["muster_rpc_requests_total{", '/WatchWorkItems"', `"${code}"`];
  const line = shown.split("\n").find((line) => words.every((word) => line.includes(word)));
  return Number(line?.split(" ").pop() ?? 0);
}

async function main() {
  const [allowed, foreign] = [await origin(), await origin()];
  const { at, keys, stop } = await up(allowed.url);
  try {
    const url = `http://${at.gateway.address}`;
    const environment = { ...process.env, MUSTER_PASSWORD: PASSWORD, MUSTER_URL: url };
    const muster = (...words) => execFileSync(MUSTER, words, { encoding: "utf8", env: environment });
    muster("seed", "--identity", at.identity.address, "--keys", keys);
    const token = muster("token", "ben@muster.example", "--organization", "acme").trim();
    const headers = { authorization: `Bearer ${token}` };

    globalThis.XMLHttpRequest = XMLHttpRequest;
    const own = clients(url, contract(descriptors), false);
    const { workspaces } = await own[0].call("muster.identity.v1.WorkspaceService", "listWorkspaces", {}, { headers });
    const workspaceId = workspaces.find((workspace) => workspace.slug === "main").workspaceId;
    const { products } = await own[0].call("muster.tasks.v1.ProductService", "listProducts", { workspaceId }, { headers });
    const world = { url, headers, workspaceId, productId: products[0].productId, own: allowed.url };
    Object.assign(allowed, { world, ended: (code) => ended(`http://${at.tasks.admin_address}/metrics`, code) });
    foreign.world = { ...world, isForeign: true };

    const told = {
      node: await tell(own, world),
      page: await browse(allowed, "allowed"),
      "foreign page": await browse(foreign, "foreign"),
    };
    const made = await own[0].call("muster.tasks.v1.WorkItemService", "listWorkItems", { workspaceId, pageSize: 1000 }, { headers });
    const foreigners = made.workItems.filter((item) => item.title === "from a foreign page").length;
    told["foreign page"].push({ client: "the suite", step: "did nothing for it", outcome: foreigners === 0 ? "ok" : `it made ${foreigners} items` });
    return told;
  } finally {
    await stop();
  }
}

const rows = Object.entries(await main()).flatMap(([where, told]) => told.map((one) => ({ where, ...one })));
const right = rows.filter(({ outcome }) => outcome === "ok");
const wrong = rows.filter(({ outcome }) => !["ok", "left out"].includes(outcome));
for (const { where, client, step, outcome } of wrong) console.error(`browser: ${where}, ${client}: ${step}: ${outcome}`);
const count = (where) => right.filter((row) => row.where === where).length;
const places = ["node", "page", "foreign page"].map((where) => `${where} ${count(where)}`).join(", ");
if (wrong.length === 0) console.log(`browser: grpc-web and connect-web see what they must (${places})`);
process.exit(wrong.length === 0 ? 0 : 1);
