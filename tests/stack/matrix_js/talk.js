// A client of matrix-js-sdk: it syncs all the while, and does what each line of its input asks.
// Its argument is the directory of its packages, its first line the client's options. What is found
// out and what was asked for is one line of JSON on the output. Its keys live in memory, as long as it
// runs.

import dns from "node:dns";
import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const packages = process.argv[2];
const asked = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { room, ...account } = JSON.parse((await asked.next()).value);

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const note = (error) => say({ failure: `${error?.errcode ?? ""} ${error?.stack ?? error}` });
// The output is for answers.
for (const level of ["trace", "debug", "log", "info", "warn", "error"]) console[level] = () => {};

// Every name is this machine, so that the homeserver's real name can be used.
dns.lookup = (_name, { all }, done) =>
  all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);

const path = createRequire(`${packages}/`).resolve("matrix-js-sdk");
const sdk = await import(pathToFileURL(path));

// Sent again until the server acknowledges it, each time as the same message.
const scheduler = new sdk.MatrixScheduler((_event, _attempts, error) => (note(error), 300));
const client = sdk.createClient({ ...account, scheduler, localTimeoutMs: 30_000 });
client.on(sdk.HttpApiEvent.SessionLoggedOut, note);

const report = (event) => {
  const id = event.getId();
  if (event.isDecryptionFailure()) say({ undecryptable: id });
  else if (event.getContent().msgtype === "m.text") say({ read: id, text: event.getContent().body });
};
client.on(sdk.MatrixEventEvent.Decrypted, report);
// One's own message comes back without being decrypted.
client.on(sdk.RoomEvent.LocalEchoUpdated, (event) => event.status === null && report(event));

const pause = () => new Promise((resume) => setTimeout(resume, 300));

const readBack = async (options) => {
  const history = {};
  let start = null;
  do {
    const page = await client.createMessagesRequest(room, start, 500, sdk.Direction.Backward);
    for (const event of page.chunk.map(client.getEventMapper(options))) {
      await client.decryptEventIfNeeded(event);
      const content = event.getContent();
      if (content.msgtype === "m.text") history[event.getId()] = content.body;
    }
    start = page.end;
  } while (start);
  return history;
};

const bytes = (text) => Buffer.from(text, "base64");
const text = (data) => Buffer.from(data).toString("base64").replace(/=+$/, "");

// Encrypted files: the client-server API, "Sending encrypted attachments".
const crypt = async (way, { key, iv }, data) => {
  const imported = await webcrypto.subtle.importKey("jwk", key, "AES-CTR", true, [way]);
  return webcrypto.subtle[way]({ name: "AES-CTR", counter: bytes(iv), length: 64 }, imported, data);
};

const verbs = {
  async find_devices({ users }) {
    // Into a room that it does not know yet, the SDK sends without encryption.
    const known = client.getRoom(room);
    const joined = known?.getJoinedMembers().map(({ userId }) => userId) ?? [];
    const ready = known?.hasEncryptionStateEvent() && users.every((user) => joined.includes(user));
    if (!ready) return {};
    const found = await client.getCrypto().getUserDeviceInfo(users, true);
    return Object.fromEntries([...found].map(([user, devices]) => [user, [...devices.keys()]]));
  },
  async send({ body, transaction }) {
    const content = { msgtype: "m.text", body };
    let sending = client.sendEvent(room, "m.room.message", content, transaction);
    for (;;) {
      try {
        return (await sending).event_id;
      } catch (error) {
        // A key that could not be shared: the scheduler sees only what is encrypted.
        note(error);
        await pause();
        const event = client.getRoom(room).getEventForTxnId(transaction);
        sending = client.resendEvent(event, client.getRoom(room));
      }
    }
  },
  async upload({ content }) {
    const algorithm = { name: "AES-CTR", length: 256 };
    const made = await webcrypto.subtle.generateKey(algorithm, true, ["encrypt", "decrypt"]);
    const keys = {
      key: await webcrypto.subtle.exportKey("jwk", made),
      iv: text(Buffer.concat([webcrypto.getRandomValues(Buffer.alloc(8)), Buffer.alloc(8)])),
    };
    const encrypted = Buffer.from(await crypt("encrypt", keys, bytes(content)));
    keys.hashes = { sha256: text(await webcrypto.subtle.digest("SHA-256", encrypted)) };
    const type = "application/octet-stream";
    const answer = await client.uploadContent(encrypted, { includeFilename: false, type });
    return [answer.content_uri, keys];
  },
  async download({ uri, keys }) {
    const url = client.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
    const headers = { Authorization: `Bearer ${client.getAccessToken()}` };
    const answer = await fetch(url, { headers });
    if (!answer.ok) throw new Error(`${answer.status} for ${uri}`);
    const encrypted = await answer.arrayBuffer();
    const digest = text(await webcrypto.subtle.digest("SHA-256", encrypted));
    if (digest !== keys.hashes.sha256) throw new Error(`another digest of ${uri}`);
    return Buffer.from(await crypt("decrypt", keys, encrypted)).toString("base64");
  },
  read_history: () => readBack({ preventReEmit: true }),
};

await client.initRustCrypto({ useIndexedDB: false });
const filter = new sdk.Filter(account.userId);
filter.setTimelineLimit(100);
await client.startClient({ filter, initialSyncLimit: 100, pollTimeout: 2000 });

// After a gap the SDK shows the newest messages; a person scrolls back for the others, again if that
// fails. What cannot be decrypted yet is reported when it can.
client.on(sdk.RoomEvent.TimelineReset, async () => {
  let history;
  while (!(history = await readBack({}).catch((error) => void note(error)))) await pause();
  for (const [id, body] of Object.entries(history)) say({ read: id, text: body });
});
const answer = async ({ number, verb, ...rest }) => {
  try {
    say({ answer: number, value: await verbs[verb](rest) });
  } catch (error) {
    note(error);
    say({ answer: number });
  }
};
// Several at a time.
for await (const line of asked) answer(JSON.parse(line));
// Whoever started it is gone, however that came.
process.exit();
