// Imports Workers and puts requests to them: one JSON object a line, in and out.
import { createInterface } from "node:readline";
import origin from "./origin.js";

globalThis.fetch = origin.fetch;
const workers = new Map();

async function load(source) {
  if (!workers.has(source)) {
    const module = await import(`data:text/javascript;charset=utf-8,${encodeURIComponent(source)}`);
    workers.set(source, module.default);
  }
  return workers.get(source);
}

async function ask({ source, url, ...request }) {
  const worker = await load(source);
  const answer = await worker.fetch(new Request(url, request));
  const body = Buffer.from(await answer.arrayBuffer()).toString("base64");
  return { status: answer.status, headers: [...answer.headers], body };
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = await ask(JSON.parse(line)).catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify(told));
}
