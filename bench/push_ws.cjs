// The `ws` server of the push benchmark: `node push_ws.cjs FOLDER`, with the folder in which ws was installed. It prints
// its port and then does what push_peers.py does.
const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");
const { WebSocketServer } = createRequire(`${process.argv[2]}/`)("ws");

const filler = "x".repeat(100);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false, path: "/ws" });
server.on("listening", () => console.log(server.address().port));

function broadcast(count) {
  const message = Buffer.from(String(process.hrtime.bigint()).padStart(20, "0") + filler);
  for (const client of server.clients) client.send(message);
  if (count > 1) setImmediate(broadcast, count - 1);
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => broadcast(Number(line.split(" ")[1])));
lines.on("close", () => process.exit());
