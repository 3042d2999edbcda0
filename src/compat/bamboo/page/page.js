"use strict";

// What the server says, what is looked for, and whose instances are shown.
let overview = { rows: [] };
const open = new Set();
let token = "";

const $ = (selector) => document.querySelector(selector);
const search = $("#search");
const body = $("#rows tbody");
const status = $("#status");

/** Makes an element; texts are texts and never markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") {
      made.addEventListener("click", value);
    } else if (value !== null && value !== undefined) {
      made.setAttribute(key, value);
    }
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Rules without an app come first, then apps without a rule. */
function rank(row) {
  return row.isApp ? (row.rule ? 2 : 1) : 0;
}

function matches(row, text) {
  const words = [row.id, row.rule ? row.rule.acl : "", ...row.refused];
  for (const one of row.instances) {
    words.push(`${one.host}:${one.port}`, one.task || "", one.state);
  }
  return words.some((word) => word.toLowerCase().includes(text));
}

function button(text, key, onclick, attributes = {}) {
  return element("button", { type: "button", "data-key": key, onclick, ...attributes }, text);
}

function appCell(row) {
  return element(
    "th",
    { scope: "row" },
    row.id,
    row.isApp ? null : element("span", { class: "mark missing" }, "no such app in Marathon"),
  );
}

function ruleCell(row) {
  const refused = row.refused.map((reason) => element("span", { class: "refused" }, reason));
  const rule = row.rule
    ? element("span", { class: "acl" }, row.rule.acl)
    : element("span", { class: "default" }, "no rule");
  return element("td", {}, rule, ...refused);
}

function instancesCell(row) {
  if (!row.isApp) {
    return element("td", {}, "");
  }
  const isOpen = open.has(row.id);
  const toggle = () => {
    if (!open.delete(row.id)) {
      open.add(row.id);
    }
    render();
  };
  const text = `${row.up} of ${row.count} up`;
  return element(
    "td",
    { class: row.up === 0 ? "down" : "" },
    button(text, `instances ${row.id}`, toggle, {
      "aria-expanded": String(isOpen),
      "aria-label": `${text}, instances of ${row.id}`,
    }),
  );
}

function actionsCell(row) {
  const cell = element("td", { class: "actions" });
  if (row.isApp) {
    const text = row.rule ? "Edit" : "Add rule";
    cell.append(
      button(text, `edit ${row.id}`, () => edit(row), { "aria-label": `${text}: ${row.id}` }),
      " ",
    );
  }
  if (row.rule) {
    cell.append(
      button("Delete", `delete ${row.id}`, () => remove(row), { "aria-label": `Delete: ${row.id}` }),
    );
  }
  return cell;
}

function details(row) {
  const heads = ["Where", "State", "Task", "Record"].map((text) =>
    element("th", { scope: "col" }, text),
  );
  const lines = row.instances.map((one) =>
    element(
      "tr",
      {},
      element("td", {}, `${one.host}:${one.port}`),
      element("td", { class: one.reason ? (one.state === "up" ? "down" : one.state) : "up" },
        one.reason || one.state, one.taskState ? ` (${one.taskState})` : ""),
      element("td", {}, one.task || one.id),
      element("td", {}, `${one.source}: ${one.path}`),
    ),
  );
  if (row.count > row.instances.length) {
    const more = `and ${row.count - row.instances.length} more`;
    lines.push(element("tr", {}, element("td", { colspan: "4" }, more)));
  }
  if (row.count === 0) {
    lines.push(element("tr", {}, element("td", { colspan: "4" }, "no instances")));
  }
  const table = element(
    "table",
    { "aria-label": `Instances of ${row.id}` },
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...lines),
  );
  return element("tr", { class: "details" }, element("td", { colspan: "5" }, table));
}

/** Draws the table anew; who was at a button stays there. */
function render() {
  const focused = document.activeElement && document.activeElement.dataset.key;
  const text = search.value.trim().toLowerCase();
  const rows = overview.rows.filter((row) => matches(row, text));
  rows.sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
  const drawn = rows.flatMap((row) => {
    const line = element(
      "tr",
      { "data-id": row.id },
      appCell(row),
      ruleCell(row),
      element("td", {}, (row.rule && row.rule.priority) || ""),
      instancesCell(row),
      actionsCell(row),
    );
    return open.has(row.id) ? [line, details(row)] : [line];
  });
  body.replaceChildren(...drawn);
  $("#nothing").hidden = rows.length > 0;
  if (focused) {
    const again = [...body.querySelectorAll("[data-key]")];
    const found = again.find((one) => one.dataset.key === focused);
    if (found) {
      found.focus();
    }
  }
}

/** Counts what was asked for: of two answers that overtake each other, the one asked for last counts. */
let asked = 0;

async function load() {
  asked += 1;
  const own = asked;
  const response = await fetch("/api/overview");
  if (!response.ok) {
    throw new Error((await response.text()).trim());
  }
  const told = await response.json();
  if (own !== asked) {
    return;
  }
  overview = told;
  const apps = overview.rows.filter((row) => row.isApp).length;
  const rules = overview.rows.filter((row) => row.rule).length;
  const stale = overview.stale.length ? `; ${overview.stale.join(", ")} can't be reached` : "";
  const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
  status.textContent = `${counted(apps, "app")}, ${counted(rules, "rule")}${stale}`;
  status.className = stale ? "lost" : "live";
  render();
}

function failed(error) {
  status.textContent = error.message;
  status.className = "lost";
}

/** Sends a change; returns what is wrong with it, or nothing. */
async function send(dialog, method, path, value) {
  const field = dialog.querySelector("[name=token]");
  token = field.value || token;
  const headers = { "Content-Type": "application/json" };
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  let response;
  try {
    response = await fetch(path, { method, headers, body: value && JSON.stringify(value) });
  } catch (error) {
    return error.message;
  }
  if (response.ok) {
    return "";
  }
  if (response.status === 401) {
    token = "";
    field.closest("label").hidden = false;
    field.focus();
  }
  return (await response.text()).trim() || `the answer was ${response.status}`;
}

/** Shows a dialog until `submit` finds nothing wrong, or somebody leaves it. */
function ask(dialog, submit) {
  const form = dialog.querySelector("form");
  const error = dialog.querySelector(".error");
  error.hidden = true;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const wrong = await submit(form);
    error.textContent = wrong;
    error.hidden = !wrong;
    if (!wrong) {
      dialog.close();
      load().catch(failed);
    }
  };
  dialog.querySelector(".cancel").onclick = () => dialog.close();
  dialog.showModal();
}

function edit(row) {
  const dialog = $("#edit");
  const { id, acl, priority } = dialog.querySelector("form").elements;
  const rule = row && row.rule;
  $("#edit-title").textContent = rule ? `Rule of ${row.id}` : "New rule";
  id.value = row ? row.id : "";
  id.readOnly = Boolean(row);
  acl.value = rule ? rule.acl : "";
  priority.value = (rule && rule.priority) || "";
  ask(dialog, () => {
    const config = { ...(rule && rule.config), Acl: acl.value };
    delete config.Priority;
    if (priority.value !== "") {
      config.Priority = priority.value;
    }
    const value = { id: id.value, config };
    return rule
      ? send(dialog, "PUT", `/api/services/${encodeURIComponent(row.id)}`, value)
      : send(dialog, "POST", "/api/services", value);
  });
  (row ? acl : id).focus();
}

function remove(row) {
  const dialog = $("#delete");
  dialog.querySelector(".which").textContent = `${row.id}: ${row.rule.acl}`;
  ask(dialog, () => send(dialog, "DELETE", `/api/services/${encodeURIComponent(row.id)}`));
}

/** Reads everything again whenever the server says that it is another one. */
function listen() {
  const events = new EventSource("/api/events");
  events.addEventListener("changed", () => load().catch(failed));
  events.onerror = () => {
    failed(new Error("the server can't be reached; what is shown may be old"));
    // After a refusal the browser gives up.
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(listen, 3000);
    }
  };
}

search.addEventListener("input", render);
$("#new").addEventListener("click", () => edit(null));
document.addEventListener("keydown", (event) => {
  const isText = event.target.closest && event.target.closest("input, textarea, dialog");
  if (event.key === "/" && !isText) {
    event.preventDefault();
    search.focus();
  }
});
load().catch(failed);
listen();
