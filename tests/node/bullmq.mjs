// A producer of BullMQ. The version is chosen by VERSION: 4, 5 or 6.
import readline from "node:readline";
import { Redis } from "ioredis";

const { Queue, QueueEvents, Job, FlowProducer } = await import(
  process.env.VERSION === "6" ? "bullmq" : `bullmq-${process.env.VERSION}`
);
const connection = { host: "127.0.0.1", port: Number(process.env.PORT), maxRetriesPerRequest: null };
const prefix = process.env.BULL_PREFIX || undefined;
const options = { connection, ...(prefix ? { prefix } : {}) };
const queues = {};
const events = {};

const client = new Redis({ ...connection, lazyConnect: true });
client.on("error", () => {});
const keyOf = (queue, name) => `${prefix || "bull"}:${queue}:${name}`;

function queueOf(name) {
  if (!queues[name]) {
    queues[name] = new Queue(name, options);
    queues[name].on("error", () => {});
  }
  return queues[name];
}

async function eventsOf(name) {
  if (!events[name]) {
    events[name] = new QueueEvents(name, options);
    events[name].on("error", () => {});
    events[name].seen = [];
    for (const kind of ["active", "progress", "completed", "failed", "stalled", "waiting", "delayed"]) {
      events[name].on(kind, (data) => events[name].seen.push({ kind, ...data }));
    }
    await events[name].waitUntilReady();
  }
  return events[name];
}

const described = (job, state) => ({
  state,
  progress: job.progress,
  result: job.returnvalue,
  failedReason: job.failedReason,
  stacktrace: job.stacktrace,
  attemptsMade: job.attemptsMade,
});

const handlers = {
  listen: async ({ queue }) => void (await eventsOf(queue)),
  add: async ({ queue, name = "job", data, opts = {} }) => (await queueOf(queue).add(name, data, opts)).id,
  addBulk: async ({ queue, jobs }) => (await queueOf(queue).addBulk(jobs)).map((job) => job.id),
  flow: async ({ flow }) => {
    const producer = new FlowProducer(options);
    const tree = await producer.add(flow);
    await producer.close();
    return { parent: tree.job.id, children: (tree.children || []).map((child) => child.job.id) };
  },
  finished: async ({ queue, id, timeout }) => {
    const job = await Job.fromId(queueOf(queue), id);
    try {
      return { result: await job.waitUntilFinished(await eventsOf(queue), timeout) };
    } catch (error) {
      return { failed: error.message };
    }
  },
  job: async ({ queue, id }) => {
    // The state first: fields that were read before the end do not have its result or error.
    const state = await queueOf(queue).getJobState(id);
    const job = await Job.fromId(queueOf(queue), id);
    return job ? described(job, state) : null;
  },
  logs: async ({ queue, id }) => (await queueOf(queue).getJobLogs(id)).logs,
  counts: async ({ queue }) => queueOf(queue).getJobCounts(),
  events: async ({ queue }) => (await eventsOf(queue)).seen,
  workers: async ({ queue }) => (await queueOf(queue).getWorkers()).length,
  retry: async ({ queue, id, state = "failed" }) => void (await (await Job.fromId(queueOf(queue), id)).retry(state)),
  // A job whose fields no client of BullMQ would write.
  addBroken: async ({ queue, fields }) => {
    const job = await queueOf(queue).add("broken", {}, { delay: 3_600_000 });
    await client.hset(keyOf(queue, job.id), fields);
    await job.promote();
    return job.id;
  },
  // As BullMQ does it when the lock of an active job has expired.
  deliverAgain: async ({ queue, id }) => {
    await client.del(keyOf(queue, `${id}:lock`));
    await client.lrem(keyOf(queue, "active"), 0, id);
    await client.hincrby(keyOf(queue, id), "stc", 1);
    await client.rpush(keyOf(queue, "wait"), id);
    await client.zadd(keyOf(queue, "marker"), 0, "0");
  },
  // Bull Board on a free port, over the queue of this program.
  board: async ({ queue }) => {
    const [{ createBullBoard }, { BullMQAdapter }, { ExpressAdapter }, { default: express }] = await Promise.all([
      import("@bull-board/api"),
      import("@bull-board/api/bullMQAdapter"),
      import("@bull-board/express"),
      import("express"),
    ]);
    const adapter = new ExpressAdapter();
    adapter.setBasePath("/board");
    createBullBoard({ queues: [new BullMQAdapter(queueOf(queue))], serverAdapter: adapter });
    const app = express().use("/board", adapter.getRouter());
    return new Promise((resolve, reject) => {
      const server = app.listen(0, "127.0.0.1", (error) => (error ? reject(error) : resolve(server.address().port)));
    });
  },
  remove: async ({ queue, id }) => void (await queueOf(queue).remove(id)),
  pause: async ({ queue }) => void (await queueOf(queue).pause()),
  resume: async ({ queue }) => void (await queueOf(queue).resume()),
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: (await handlers[request.do](request)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.stack || error) }));
  }
}
process.exit(0);
