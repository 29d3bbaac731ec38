// The stock Connect clients for JavaScript against a gateway: `node connect.mjs URL FILE`, with the URL and the descriptor
// set of serve.py. docs/conformance.md says how to run it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport as nodeTransport } from "@connectrpc/connect-node";
import { createConnectTransport as webTransport } from "@connectrpc/connect-web";

const [baseUrl, file] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(file)));
const service = registry.getService("test.v1.TestService");
const text = (value) => ({ value });

async function failure(promise, code) {
  const error = await promise.then(() => assert.fail("no error"), (thrown) => thrown);
  assert.ok(error instanceof ConnectError, String(error));
  assert.equal(Code[error.code], Code[code]);
  return error;
}

async function all(stream) {
  const found = [];
  for await (const message of stream) found.push(message.value);
  return found;
}

async function check(name, transport) {
  const client = createClient(service, transport);
  const token = { headers: { Authorization: "Bearer alice" } };

  assert.equal((await client.echo(text("hä ".repeat(500)), token)).value, "hä ".repeat(500));
  await failure(client.echo(text("x")), Code.Unauthenticated);
  await failure(client.fail(text("coded")), Code.FailedPrecondition);
  const taken = await failure(client.fail(text("taken")), Code.AlreadyExists);
  assert.equal(taken.rawMessage, "the name ann is taken");
  assert.deepEqual(taken.findDetails(StringValueSchema), [create(StringValueSchema, text("ann"))]);
  await failure(client.wait(text(""), { timeoutMs: 50 }), Code.DeadlineExceeded);

  let header, trailer;
  const seen = { onHeader: (found) => (header = found), onTrailer: (found) => (trailer = found) };
  await client.metadata(text("fine"), { headers: { "Acme-Shard": "42" }, ...seen });
  assert.equal(header.get("acme-shard"), "42");
  assert.equal(trailer.get("acme-shard"), "42");
  const aborted = await failure(client.metadata(text("fail"), { headers: { "Acme-Shard": "42" } }), Code.Aborted);
  assert.equal(aborted.metadata.get("acme-shard"), "42, 42"); // headers and trailers together

  assert.equal((await client.look(text("a+b/c ?&=ä"))).value, "a+b/c ?&=ä");

  assert.deepEqual(await all(client.count(text("3"), seen)), ["0", "1", "2"]);
  assert.equal(header.get("acme-began"), "yes");
  assert.equal(trailer.get("acme-counted"), "3");
  assert.deepEqual((await all(client.count(text("2 x 100000")))).map((value) => value.length), [100001, 100001]);
  const late = await failure(all(client.count(text("2 taken"))), Code.AlreadyExists);
  assert.equal(late.findDetails(StringValueSchema)[0].value, "ann");
  await failure(all(client.count(text("1 wait"), { timeoutMs: 50 })), Code.DeadlineExceeded);
  const leaving = new AbortController();
  for await (const message of client.count(text("5 wait"), { signal: leaving.signal })) {
    if (message.value === "1") break;
  }
  leaving.abort();
  console.log(`ok  ${name}`);
}

for (const useBinaryFormat of [true, false]) {
  for (const useHttpGet of [true, false]) {
    const how = `${useBinaryFormat ? "proto" : "json"}, ${useHttpGet ? "GET" : "POST"}`;
    const options = { baseUrl, useBinaryFormat, useHttpGet };
    await check(`connect-node, ${how}`, nodeTransport({ ...options, httpVersion: "1.1" }));
    await check(`connect-web, ${how}`, webTransport(options));
  }
}
process.exit(0);
