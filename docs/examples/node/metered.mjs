// Hold the estimate, work, settle by what was used: Node with @grpc/grpc-js and the protos as they stand.
//
//     npm install && node metered.mjs 127.0.0.1:8433 ../../../protos acme
//
// Amounts and quantities are 64 bits: they travel as strings, never as numbers of JavaScript.

import { randomUUID } from "node:crypto";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const ALLOWED = new Set(["DECISION_ALLOW", "DECISION_ALLOW_OVERDRAFT"]);
const [address, protos, account] = process.argv.slice(2);

const definition = loader.loadSync("ledger/v1/decision.proto", {
  includeDirs: [protos],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
});
const { DecisionService } = grpc.loadPackageDefinition(definition).ledger.v1;
const client = new DecisionService(address, grpc.credentials.createInsecure());

// A retry sends the same request_id: it is held and settled once, whatever happened to the first answer.
function call(method, request) {
  const options = { deadline: Date.now() + 5_000 };
  const ask = (resolve, reject) =>
    client[method]({ tenant: "default", ...request }, options, (error, reply) =>
      error ? reject(error) : resolve(reply),
    );
  return again(() => new Promise(ask));
}

async function again(attempt, tries = 4, pause = 50) {
  try {
    return await attempt();
  } catch (error) {
    if (error.code !== grpc.status.UNAVAILABLE || tries === 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, pause));
    return again(attempt, tries - 1, 2 * pause);
  }
}

async function metered(product, estimate, work) {
  const request = randomUUID();
  const hold = await call("Authorize", {
    request_id: request,
    account,
    product,
    quantities: estimate,
    lifetime_us: String(600_000_000),
  });
  if (!ALLOWED.has(hold.decision)) return { decision: hold.decision, reason: hold.reason };
  let used = {};
  try {
    used = await work();
  } finally {
    const settle = { request_id: `${request}/done`, hold_id: hold.hold_id };
    if (Object.values(used).some((quantity) => BigInt(quantity) > 0n)) {
      const captured = await call("Capture", { ...settle, quantities: used });
      used = { ...used, charge: captured.charge };
    } else {
      await call("Release", settle);
    }
  }
  return { decision: hold.decision, held: hold.amount, ...used };
}

const say = (value) => console.log(JSON.stringify(value));
const tokens = (input, output) => ({ input_tokens: String(input), output_tokens: String(output) });

say(await metered("chat", tokens(100, 1_000), async () => tokens(100, 20)));
say(await metered("chat", tokens(100, 1_000_000_000), async () => tokens(1, 1)));
const failing = async () => {
  throw new Error("out of order");
};
say(await metered("chat", tokens(100, 10), failing).catch((error) => ({ failed: error.message })));
client.close();
