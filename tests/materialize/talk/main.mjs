// Statements from standard input, one a line, through node-postgres; see talkers.py.
import pg from "pg";
import readline from "node:readline";

let client;
const names = new Map();

async function open([, mode, port, schema]) {
  if (client) await client.end();
  client = new pg.Client({ host: "127.0.0.1", port: Number(port), user: "postgres", database: "materialize",
                           options: `-csearch_path=${schema},public` });
  client.on("error", () => {});
  client.named = mode === "named";
  await client.connect();
}

async function run([text, ...values]) {
  const query = { text, rowMode: "array" };
  if (values.length) query.values = values.map((value) => (/^-?\d+$/.test(value) ? Number(value) : value));
  if (client.named && values.length) {
    if (!names.has(text)) names.set(text, `s${names.size}`);
    query.name = names.get(text);
  }
  const { fields, rows } = await client.query(query);
  return fields.map((field) => "," + field.name).join("") + "|" + rows.map((row) => row.join(",")).join("|");
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const parts = line.split("\t");
  if (parts[0] === "open") await open(parts);
  else console.log(await run(parts).catch((error) => `error ${error.code}`));
}
process.exit(0);
