// A BullMQ worker that does nothing, or notes when it starts.
import fs from "node:fs";
import { Worker } from "bullmq";

const { hostname: host, port } = new URL(process.env.BENCH_STORE);
const marks = fs.openSync(process.env.BENCH_MARKS, "a");
const now = () => Number(process.hrtime.bigint()) / 1e9;

async function run(job) {
  if (job.name === "mark") fs.writeSync(marks, `${job.data.n} ${now()}\n`);
  return { n: job.data.n };
}

const worker = new Worker("bench", run, {
  connection: { host, port: Number(port), maxRetriesPerRequest: null },
  concurrency: Number(process.env.BENCH_CONCURRENCY ?? 200),
});
worker.on("error", (error) => console.error(error));
await worker.waitUntilReady();
console.log(JSON.stringify({ ready: true }));

async function stop() {
  await worker.close();
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
