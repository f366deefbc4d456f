// A subscriber with kafkajs: `node subscriber.js reader.json TOPIC [IDLE_SECONDS]`.
// Its copy is in memory; one that keeps it writes rows and offsets in one transaction, as ../copy_of_view.py does.
import { readFileSync } from "node:fs";
import { decompress } from "fzstd";
import kafkajs from "kafkajs";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.ZSTD] = () => ({ decompress: async (buffer) => Buffer.from(decompress(buffer)) });

const [file, topic, idle] = process.argv.slice(2);
const reader = JSON.parse(readFileSync(file, "utf-8"));
const rows = new Map();
const seen = new Set();
const batches = {};
let deletions = 0;
let repeats = 0;
let lastCame = Date.now();

function take({ key, value, headers }) {
  const batch = headers.batch.toString();
  const place = `${batch}/${headers.row}`;
  if (seen.has(place)) {
    repeats += 1; // the broker lost its disk, and the row came again
    return;
  }
  seen.add(place);
  batches[batch] = (batches[batch] ?? 0) + 1;
  const name = key === null ? place : key.toString();
  if (value === null) {
    rows.delete(name);
    deletions += 1;
  } else {
    rows.set(name, JSON.parse(value.toString()));
  }
}

const kafka = new Kafka({
  clientId: "with-kafkajs",
  brokers: reader.bootstrap_servers.split(","),
  ssl: reader.security_protocol.endsWith("SSL"),
  sasl: { mechanism: reader.sasl_mechanism.toLowerCase(), username: reader.user_name, password: reader.password },
  logLevel: logLevel.ERROR,
});
const consumer = kafka.consumer({
  groupId: `${reader.group_prefix}with-kafkajs`, // Kafka refuses groups of others
  readUncommitted: false, // whole batches, and none that was given up
  maxBytesPerPartition: 8 * 1024 * 1024,
});
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({
  autoCommit: false, // the copy does not outlive the process
  eachBatch: async ({ batch }) => {
    batch.messages.forEach(take);
    lastCame = Date.now();
  },
});
if (idle !== undefined) {
  while (Date.now() - lastCame < Number(idle) * 1000) await new Promise((resolve) => setTimeout(resolve, 100));
  await consumer.disconnect();
  console.log(JSON.stringify({ rows: rows.size, batches, deletions, repeats }));
}
