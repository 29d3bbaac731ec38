// Lists the services and calls their methods in the Connect protocol. Whatever comes from the server or from a person is
// put on the page as text, never as markup.
"use strict";

const MOST_MESSAGES = 200;
const END_STREAM = 2;
const byId = (id) => document.getElementById(id);
let chosen = null;
let running = null;

function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function list(methods) {
  let service = "";
  for (const method of methods) {
    const [name, short] = method.path.split("/");
    if (name !== service) {
      service = name;
      byId("methods").append(element("h2", name));
    }
    const button = element("button", short);
    button.addEventListener("click", () => choose(method, button));
    byId("methods").append(button);
  }
}

function choose(method, button) {
  stop();
  chosen = method;
  document.querySelector("nav [aria-current]")?.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  byId("path").textContent = method.path;
  const errors = method.errors.length ? ` It may raise ${method.errors.join(", ")}.` : "";
  const answer = method.stream ? `a stream of ${method.response}` : method.response;
  byId("about").textContent = `${method.request} → ${answer}. Who may call: ${method.callers}.${errors}`;
  byId("request").value = JSON.stringify(method.example, null, 2);
  byId("call").hidden = false;
  byId("answer").hidden = true;
  byId("hint").hidden = true;
}

function stop() {
  running?.abort();
}

async function call(event) {
  event.preventDefault();
  stop();
  const mine = (running = new AbortController());
  const began = performance.now();
  const took = () => `${(performance.now() - began).toFixed(1)} ms`;
  show("calling …", false);
  byId("stop").hidden = false;
  try {
    const request = byId("request").value.trim() || "{}";
    const kind = chosen.stream ? "connect+json" : "json";
    const headers = { "Content-Type": `application/${kind}`, "Connect-Protocol-Version": "1" };
    if (byId("token").value) headers.Authorization = `Bearer ${byId("token").value}`;
    if (byId("timeout").value) headers["Connect-Timeout-Ms"] = byId("timeout").value;
    const body = chosen.stream ? envelope(request) : request;
    const response = await fetch(chosen.path, { method: "POST", headers, body, signal: mine.signal });
    describe(response.headers);
    const streams = response.ok && chosen.stream;
    const error = streams ? await messages(response.body.getReader()) : await whole(response);
    const status = streams && error ? "error" : `HTTP ${response.status}`;
    show(error ? `${error.code ?? status}: ${error.message ?? ""} · ${took()}` : `${status} · ${took()}`, Boolean(error));
  } catch (failure) {
    if (mine === running) show(`${failure.name === "AbortError" ? "stopped" : failure} · ${took()}`, true);
  } finally {
    if (mine === running) byId("stop").hidden = true;
  }
}

function show(result, bad) {
  byId("answer").hidden = false;
  byId("result").textContent = result;
  byId("result").classList.toggle("bad", bad);
  if (result === "calling …") {
    byId("body").textContent = "";
    byId("headers").replaceChildren();
  }
}

function describe(headers) {
  for (const [name, value] of headers) byId("headers").append(element("dt", `${name}:`), element("dd", value));
}

function add(text) {
  byId("body").append(`${pretty(text)}\n`);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// Adds the answer of a unary call; returns its error.
async function whole(response) {
  const text = await response.text();
  add(text);
  if (response.ok) return null;
  try {
    return JSON.parse(text);
  } catch {
    return { message: `HTTP status ${response.status}` };
  }
}

function envelope(text) {
  const message = new TextEncoder().encode(text);
  const framed = new Uint8Array(5 + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, 5);
  return framed;
}

// Adds the messages of a stream as they come; returns the error at its end.
async function messages(reader) {
  let rest = new Uint8Array(0);
  for (let shown = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return { message: "the connection was lost before the end of the stream" };
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    while (rest.length >= 5) {
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(1);
      if (rest.length < 5 + length) break;
      const text = new TextDecoder().decode(rest.subarray(5, 5 + length));
      const ends = rest[0] & END_STREAM;
      rest = rest.subarray(5 + length);
      if (ends) {
        add(text);
        return JSON.parse(text).error ?? null;
      }
      if (shown++ < MOST_MESSAGES) add(text);
      byId("result").textContent = `${shown} messages …`;
    }
  }
}

byId("call").addEventListener("submit", call);
byId("stop").addEventListener("click", stop);
fetch("explorer.json")
  .then((response) => response.json())
  .then(list)
  .catch((failure) => (byId("hint").textContent = `The list of services can't be read: ${failure}`));
