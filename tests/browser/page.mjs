// What the page does: the story, or its being refused, as its own server says; then it reports there.

import { clients, contract } from "./clients.mjs";
import { tell, tellRefused } from "./story.mjs";

async function run() {
  const world = await (await fetch("/world")).json();
  const descriptors = new Uint8Array(await (await fetch("/descriptors")).arrayBuffer());
  const all = clients(world.url, contract(descriptors), true);
  return world.isForeign ? tellRefused(all, world) : tell(all, world);
}

const told = await run().catch((error) => [{ client: "the page", step: "runs", outcome: String(error?.stack ?? error) }]);
await fetch("/told", { method: "POST", body: JSON.stringify(told) });
