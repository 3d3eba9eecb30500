// What every client must see of a suite, in Node and on a page: each step an assertion.
//
// `world` is: the token of a member of acme, its workspace and one product of it, and `own`, an address that counts how the service `tasks` saw
// watches end (a browser's cancel is proved by what the service felt, not by what the client believes).

const TASKS = "muster.tasks.v1.WorkItemService";
/** No step takes longer. */
const SOON = 10_000;

const steps = {
  async "a unary call is answered"(client, { workspaceId, productId, headers }) {
    // Large enough that it comes in pieces, and not ASCII.
    const sent = { workspaceId, productId, title: `Größe ✓ ${client.name}`, description: "Maß".repeat(15_000) };
    const { workItem } = await client.call(TASKS, "createWorkItem", sent, { headers });
    const read = await client.call(TASKS, "getWorkItem", { workspaceId, workItemId: workItem.workItemId }, { headers });
    same([read.workItem.title, read.workItem.description], [sent.title, sent.description]);
  },
  async "a refusal tells reason and field"(client, { workspaceId, productId, headers }) {
    const refused = await refusal(client.call(TASKS, "createWorkItem", { workspaceId, productId, title: "" }, { headers }));
    same([refused.code, refused.reason, refused.fields], [3, "FIELD_VIOLATION", ["title"]]);
  },
  async "a call without a token is refused"(client, { workspaceId }) {
    const refused = await refusal(client.call(TASKS, "listWorkItems", { workspaceId }, {}));
    same([refused.code, refused.reason], [16, "CREDENTIALS_MISSING"]);
  },
  async "a stream that is refused tells why"(client, { headers }) {
    const stream = client.open(TASKS, "watchWorkItems", { workspaceId: "no id" }, { headers });
    const refused = await refusal(stream.next());
    same([refused.code, refused.reason, refused.fields], [3, "FIELD_VIOLATION", ["workspace_id"]]);
  },
  async "a stream ends at the deadline that the service was told"(client, { workspaceId, headers }) {
    // As a header of the caller's own: the client keeps no time of its own, so that the end comes from the other side.
    const stream = client.open(TASKS, "watchWorkItems", { workspaceId }, { headers: { ...headers, "grpc-timeout": "700m" } });
    const refused = await refusal(last(stream));
    same([refused.code, refused.reason], [4, "DEADLINE_EXCEEDED"]);
  },
  async "a deadline of the client ends its stream"(client, { workspaceId, headers }) {
    const stream = client.open(TASKS, "watchWorkItems", { workspaceId }, { headers, deadlineMs: 500 });
    same((await refusal(last(stream))).code, 4);
  },
  async "a stream shows what happens meanwhile"(client, { workspaceId, productId, headers }) {
    if (!client.streams) return "left out";
    const stream = client.open(TASKS, "watchWorkItems", { workspaceId }, { headers });
    const bookmark = await stream.next();
    same([bookmark.change, bookmark.resumeToken.length > 0], [undefined, true]);
    const { workItem } = await client.call(TASKS, "createWorkItem", { workspaceId, productId, title: "seen live" }, { headers });
    const seen = [];
    while (!seen.includes(workItem.workItemId)) {
      const { change } = await stream.next();
      if (change) seen.push(change.workItem.workItemId);
    }
    stream.cancel();
  },
  async "a stream that is cancelled ends at the service"(client, { workspaceId, headers, own }) {
    if (!client.streams) return "left out";
    const cancelled = async () => Number(await (await fetch(`${own}/watches/CANCELLED`)).text());
    const stream = client.open(TASKS, "watchWorkItems", { workspaceId }, { headers });
    await stream.next();
    const before = await cancelled();
    stream.cancel();
    while ((await cancelled()) === before) await new Promise((resolve) => setTimeout(resolve, 50));
  },
};

/** Takes every step with every client of `clients`; answers `{ client, step, outcome }` of each: "ok", "left out", or what went wrong. */
export async function tell(clients, world) {
  const told = [];
  for (const client of clients) {
    for (const [step, take] of Object.entries(steps)) {
      const outcome = await soon(take(client, world)).then((said) => said ?? "ok", (error) => String(error?.message ?? error));
      told.push({ client: client.name, step, outcome });
    }
  }
  return told;
}

/** That a page of a foreign origin gets no answer from any client. As `tell`. */
export async function tellRefused(clients, { workspaceId, productId, headers }) {
  const told = [];
  for (const client of clients) {
    const call = client.call(TASKS, "createWorkItem", { workspaceId, productId, title: "from a foreign page" }, { headers });
    const outcome = await soon(refusal(call)).then(({ reason }) => (reason ? `it may read the reason ${reason}` : "ok"), (error) => error.message);
    told.push({ client: client.name, step: "a page of another origin gets no answer", outcome });
  }
  return told;
}

/** The refusal of a call that must be refused. */
async function refusal(call) {
  const answer = await call.then((message) => ({ message }), (refused) => ({ refused }));
  if (answer.refused?.code === undefined) throw answer.refused ?? new Error("it passes, and should be refused");
  return answer.refused;
}

/** Reads a stream to its end. */
async function last(stream) {
  while ((await stream.next()) !== undefined);
}

function same(actual, expected) {
  const [left, right] = [actual, expected].map((value) => JSON.stringify(value).slice(0, 300));
  if (left !== right) throw new Error(`${left} should be ${right}`);
}

function soon(step) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not done after ${SOON} ms`)), SOON)));
  return Promise.race([step, late]).finally(() => clearTimeout(timer));
}
