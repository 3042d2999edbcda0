// Drives the page in headless Chromium, by keys as a person without a mouse would.
//
// usage: node page.mjs URL DIRECTORY
//
// It prints `do: …` where somebody else has to do something, and `ok` at the end. Screenshots go to the
// directory. It speaks to Chromium by its debugging pipe: JSON, with a zero byte after each message.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE_MS = 30_000;
const [url, directory] = process.argv.slice(2);

class Browser {
  #next = 1;
  #waiting = new Map();
  #rest = "";
  #session;

  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), "page-"));
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
      "--no-first-run", "--remote-debugging-pipe", `--user-data-dir=${this.profile}`,
      "--window-size=1100,760", "about:blank"];
    this.process = spawn("chromium", flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.process.on("error", (error) => { throw error; });
    this.process.stdio[4].setEncoding("utf8").on("data", (text) => this.#take(text));
    this.asked = [];
    this.problems = [];
  }

  #take(text) {
    const messages = (this.#rest + text).split("\0");
    this.#rest = messages.pop();
    for (const message of messages.map((one) => JSON.parse(one))) {
      if (message.id) {
        const { resolve, reject } = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        message.error ? reject(new Error(message.error.message)) : resolve(message.result);
      } else if (message.method === "Network.requestWillBeSent") {
        this.asked.push(message.params.request.url);
      } else if (message.method === "Runtime.exceptionThrown" || message.method === "Log.entryAdded") {
        this.problems.push(JSON.stringify(message.params));
      }
    }
  }

  send(method, params = {}, session = this.#session) {
    const id = this.#next++;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: session })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async open(at) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" }, undefined);
    const attach = { targetId, flatten: true };
    const { sessionId } = await this.send("Target.attachToTarget", attach, undefined);
    this.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Network", "Log"]) {
      await this.send(`${domain}.enable`);
    }
    await this.send("Page.navigate", { url: at });
  }

  async evaluate(expression) {
    const wanted = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", wanted);
    assert(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  }

  /** Waits until an expression holds. */
  async until(expression) {
    const end = Date.now() + PATIENCE_MS;
    while (!(await this.evaluate(expression))) {
      assert(Date.now() < end, `not in time: ${expression}\n${await this.text()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  text() {
    return this.evaluate("document.body.innerText");
  }

  async key(key, code = key, modifiers = 0) {
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    const params = { key, code, modifiers, windowsVirtualKeyCode: KEYS[key] };
    await this.send("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", text, ...params });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...params });
  }

  type(text) {
    return this.send("Input.insertText", { text });
  }

  /** Goes on with Tab until what has the focus is labelled so. */
  async tabTo(label) {
    for (let presses = 0; presses < 40; presses += 1) {
      await this.key("Tab");
      const at = await this.evaluate(FOCUSED);
      if (at === label) {
        return;
      }
    }
    assert.fail(`${label} can't be reached by Tab`);
  }

  async screenshot(name) {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    writeFileSync(join(directory, `${name}.png`), Buffer.from(data, "base64"));
  }

  async end() {
    const ended = new Promise((resolve) => this.process.on("exit", resolve));
    await this.send("Browser.close", {}, undefined);
    await ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

const KEYS = { Tab: 9, Enter: 13, Escape: 27, "/": 191, a: 65 };
const FOCUSED = `(() => {
  const at = document.activeElement;
  return at.getAttribute("aria-label") || at.name || at.textContent;
})()`;
const row = (id) => `document.querySelector('tr[data-id="${id}"]')`;
const rowHas = (id, text) => `${row(id)} !== null && ${row(id)}.innerText.includes(${JSON.stringify(text)})`;

async function creates(browser) {
  await browser.until(rowHas("/web", "no rule"));
  await browser.until(rowHas("/web", "1 of 1 up"));
  await browser.tabTo("New rule");
  await browser.key("Enter");
  await browser.until("document.querySelector('#edit').open");
  await browser.type("/web");
  await browser.tabTo("acl");
  await browser.type("this is no acl");
  await browser.tabTo("Save");
  await browser.key("Enter");
  // The server's words are shown, and nothing is lost.
  await browser.until("document.querySelector('#edit .error').innerText.includes('`this` is not a criterion')");
  await browser.screenshot("bamboo-error");
  assert.equal(await browser.evaluate("document.querySelector('#edit [name=acl]').value"), "this is no acl");
  await browser.evaluate("document.querySelector('#edit [name=acl]').focus()");
  await browser.key("a", "KeyA", 2);
  await browser.evaluate("document.querySelector('#edit [name=acl]').select()");
  await browser.type("hdr(host) -i <b>shop</b>.example");
  await browser.tabTo("Save");
  await browser.key("Enter");
  await browser.until("!document.querySelector('#edit').open");
  // What people write is text, and never markup.
  await browser.until(rowHas("/web", "hdr(host) -i <b>shop</b>.example"));
  assert.equal(await browser.evaluate("document.querySelectorAll('tbody b').length"), 0);
}

async function edits(browser) {
  await browser.tabTo("Edit: /web");
  await browser.key("Enter");
  await browser.until("document.querySelector('#edit').open");
  assert.equal(await browser.evaluate("document.querySelector('#edit [name=id]').readOnly"), true);
  await browser.evaluate("document.querySelector('#edit [name=acl]').select()");
  await browser.type("hdr(host) -i shop.example");
  await browser.tabTo("priority");
  await browser.type("7");
  await browser.key("Enter");
  await browser.until("!document.querySelector('#edit').open");
  await browser.until(rowHas("/web", "hdr(host) -i shop.example"));
  await browser.until(rowHas("/web", "7"));
}

async function watches(browser) {
  await browser.tabTo("1 of 1 up, instances of /web");
  await browser.key("Enter");
  await browser.until("document.body.innerText.includes('apps: /web:web.1')");
  // What happens elsewhere is shown without a word of ours, and who was at a button stays there.
  console.log("do: scale");
  await browser.until(rowHas("/web", "1 of 2 up"));
  await browser.until("document.body.innerText.includes('its state is draining')");
  assert.equal(await browser.evaluate(FOCUSED), "1 of 2 up, instances of /web");
  await browser.screenshot("bamboo-page");
  const answer = await fetch(new URL("/api/services", url), {
    method: "POST",
    body: JSON.stringify({ id: "/gone", acl: "path_beg /gone" }),
  });
  assert.equal(answer.status, 200);
  await browser.until(rowHas("/gone", "no such app in Marathon"));
  assert.equal(await browser.evaluate("document.querySelector('tbody tr').dataset.id"), "/gone");
}

async function searches(browser) {
  await browser.key("/", "Slash");
  assert.equal(await browser.evaluate("document.activeElement.id"), "search");
  await browser.type("api.1");
  await browser.until(`${row("/web")} === null && ${row("/group/api")} !== null`);
  await browser.evaluate("document.querySelector('#search').select()");
  await browser.type("nobody");
  await browser.until("!document.querySelector('#nothing').hidden");
  await browser.evaluate("document.querySelector('#search').select()");
  await browser.type("gone");
  await browser.until(`${row("/gone")} !== null`);
}

async function deletes(browser) {
  await browser.tabTo("Delete: /gone");
  await browser.key("Enter");
  await browser.until("document.querySelector('#delete').open");
  await browser.key("Escape");
  await browser.until("!document.querySelector('#delete').open");
  assert.equal(await browser.evaluate(FOCUSED), "Delete: /gone");
  await browser.key("Enter");
  await browser.until("document.querySelector('#delete').open");
  await browser.tabTo("Delete");
  await browser.key("Enter");
  await browser.until(`${row("/gone")} === null`);
}

const browser = new Browser();
try {
  await browser.open(url);
  for (const step of [creates, edits, watches, searches, deletes]) {
    await step(browser);
  }
  const { origin } = new URL(url);
  const others = browser.asked.filter((one) => !one.startsWith(`${origin}/`));
  assert.deepEqual(others, [], "other hosts are asked");
  // The refused rule is the only thing that a browser may complain of.
  const problems = browser.problems.filter((one) => !one.includes("status of 400"));
  assert.deepEqual(problems, []);
  console.log("ok");
} finally {
  await browser.end();
}
