// Answers the bench's requests: one JSON object a line in, one out.
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue } from "bullmq";

const JOBS_IN_A_CALL = 1000;
const LOOK_AGAIN_MS = 10;

const { hostname: host, port } = new URL(process.env.BENCH_STORE);
const queue = new Queue("bench", { connection: { host, port: Number(port) } });
const now = () => Number(process.hrtime.bigint()) / 1e9;

async function addMany(name, jobs) {
  for (let n = 0; n < jobs; n += JOBS_IN_A_CALL) {
    const size = Math.min(JOBS_IN_A_CALL, jobs - n);
    await queue.addBulk(Array.from({ length: size }, (_, i) => ({ name, data: { n: n + i } })));
  }
}

async function timed(jobs, submit) {
  const before = await queue.getCompletedCount();
  const began = now();
  await submit();
  const submitted = now();
  while ((await queue.getCompletedCount()) - before < jobs) await sleep(LOOK_AGAIN_MS);
  return { began, submitted, ended: now() };
}

const handlers = {
  bulk: ({ jobs }) =>
    timed(jobs, () => addMany("noop", jobs)),
  open: async ({ jobs }) => {
    await addMany("held", jobs);
    while ((await queue.getWaitingCount()) > 0) await sleep(LOOK_AGAIN_MS);
    return { jobs };
  },
  singly: ({ jobs, submitters }) =>
    timed(jobs, async () => {
      let n = 0;
      const one = async () => {
        while (n < jobs) await queue.add("noop", { n: n++ });
      };
      await Promise.all(Array.from({ length: submitters }, one));
    }),
  pickups: async ({ numbers, pause }) => {
    const began = {};
    for (const n of numbers) {
      began[n] = now();
      await queue.add("mark", { n });
      await sleep(pause * 1000);
    }
    return { began };
  },
};

await queue.waitUntilReady();
console.log(JSON.stringify({ ready: true }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(JSON.stringify(await handlers[request.do](request)));
}
await queue.close();
process.exit(0);
