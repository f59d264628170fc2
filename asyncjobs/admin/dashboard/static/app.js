// Pages work without this. It keeps them up to date, asks before what can't be undone, and adds keys.
const EVERY_MS = 3000;
const html = document.documentElement;
const live = document.querySelector("#live");
const steer = document.querySelector("#steer");
const regions = () => [...document.querySelectorAll("[data-live]")];

// -- times, by the server's clock

let ahead = 0; // How many milliseconds the server's clock is ahead of the browser's.
let asOf = live ? Date.parse(live.dataset.at) : 0;
if (live) ahead = Date.parse(live.dataset.now) - Date.now();
const now = () => Date.now() + ahead;

function span(ms) {
  for (const [size, unit] of [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]]) {
    const amount = ms / size;
    if (amount >= 1) return `${amount < 10 && size > 1000 ? amount.toFixed(1).replace(".0", "") : Math.round(amount)} ${unit}`;
  }
  return "0 s";
}

function tellTimes(root) {
  for (const one of root.querySelectorAll("time[data-ago]")) {
    const ms = now() - Date.parse(one.dateTime);
    const text = ms < 0 ? `in ${span(-ms)}` : `${span(ms)} ago`;
    if (one.textContent !== text) one.textContent = text;
  }
}

// -- what is new

const known = new Map(); // The regions as the server has sent them, by their place.
let tag = "";
let failures = 0;
let reading = false;

function pause() {
  if (document.hidden) return "hidden";
  if (document.querySelector("dialog[open]")) return "paused: a question is open";
  if (document.querySelector("main [data-live] :checked:not(option)")) return "paused: rows are selected";
  if (document.querySelector("main [data-live] details[data-opened][open]")) return "paused: something is open";
  if (document.querySelector("main [data-still]")) return "this page stays as it is";
  if (String(document.getSelection() || "")) return "paused: text is selected";
  return document.activeElement?.closest("main form :is(input, select, textarea)") ? "paused: a form is in use" : "";
}

function tell() {
  if (!live) return;
  const why = pause();
  const age = span(Math.max(0, now() - asOf));
  const away = html.dataset.away !== undefined || failures > 1;
  live.className = `live ${away ? "away" : why ? "paused" : "on"}`;
  live.textContent = away ? `✖ ${age} old` : why ? `‖ ${age} old` : `● live · ${age}`;
  live.title = away ? "The server or the broker does not answer" : why || "Read again";
  tellTimes(document);
}

async function refresh(isAsked) {
  if (reading || !live || !regions().length || (!isAsked && pause())) return;
  reading = true;
  try {
    const headers = { "X-Fragment": "1", ...(tag && { "If-None-Match": tag }) };
    const reply = await fetch(location.href, { headers, signal: AbortSignal.timeout(10000) });
    if (reply.redirected || (reply.status !== 304 && !reply.ok)) throw new Error(reply.status);
    asOf = Date.parse(reply.headers.get("X-As-Of"));
    html.toggleAttribute("data-away", reply.headers.has("X-Stale"));
    steer.disabled = reply.headers.has("X-Stale");
    failures = 0;
    if (reply.status === 304) return;
    const text = await reply.text();
    if (!isAsked && pause()) return;
    tag = reply.headers.get("ETag");
    swap(new DOMParser().parseFromString(text, "text/html"));
  } catch {
    if (++failures > 1) steer.disabled = true;
  } finally {
    reading = false;
    tell();
  }
}

function swap(page) {
  const fresh = page.querySelectorAll("[data-live]");
  const old = regions();
  if (fresh.length !== old.length) return location.reload();
  old.forEach((region, n) => {
    const text = fresh[n].innerHTML;
    if (known.get(n) === text) return;
    known.set(n, text);
    const open = [...region.querySelectorAll("details")].map((one) => one.open);
    const links = [...region.querySelectorAll("a, button, summary, input")];
    const at = links.indexOf(document.activeElement);
    const href = at < 0 ? null : document.activeElement.getAttribute("href");
    tellTimes(fresh[n]);
    region.replaceChildren(...fresh[n].childNodes);
    region.querySelectorAll("details").forEach((one, at) => { if (at in open) one.open = open[at]; });
    if (at >= 0) {
      const now = [...region.querySelectorAll("a, button, summary, input")];
      (now.find((one) => href && one.getAttribute("href") === href) || now[at] || now.at(-1))?.focus();
    }
    region.dispatchEvent(new CustomEvent("fresh", { bubbles: true }));
    arm(region);
  });
}

let waited = 0;
setInterval(() => {
  tell();
  waited += 1000;
  if (waited < Math.min(EVERY_MS * 2 ** Math.max(0, failures - 1), 30000)) return;
  waited = 0;
  refresh();
}, 1000);
document.addEventListener("visibilitychange", () => refresh());
live?.addEventListener("click", (event) => { event.preventDefault(); refresh(true); });
document.addEventListener("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details) details.toggleAttribute("data-opened", !details.open);
});

// -- questions before what can't be undone

function dialog(...inside) {
  const box = document.createElement("dialog");
  box.append(...inside);
  box.addEventListener("close", () => { box.remove(); tell(); });
  document.body.append(box);
  box.showModal();
  tell();
  return box;
}

function element(name, text, kind = "") {
  const one = document.createElement(name);
  one.textContent = text;
  one.className = kind;
  return one;
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.ask) return;
  event.preventDefault();
  const button = event.submitter;
  const yes = element("button", button.textContent.trim(), button.className);
  const no = element("button", "Back");
  const actions = element("p", "", "actions");
  actions.append(yes, no);
  const box = dialog(element("p", form.dataset.ask), actions);
  no.addEventListener("click", () => box.close());
  yes.addEventListener("click", () => { box.close(); delete form.dataset.ask; form.requestSubmit(button); });
});

// -- what goes on by itself, portion after portion

const goesOn = document.querySelector("form[data-goes-on]");
if (goesOn) {
  const stop = goesOn.querySelector("[data-stop]");
  const timer = setTimeout(() => goesOn.requestSubmit(), 500);
  stop.hidden = false;
  stop.addEventListener("click", () => { clearTimeout(timer); stop.hidden = true; });
}

// -- copying, selecting

function arm(root) {
  for (const one of root.querySelectorAll("[data-copy][hidden]")) one.hidden = !navigator.clipboard;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const said = button.textContent;
  await navigator.clipboard.writeText(button.dataset.copy || location.href);
  button.textContent = "copied";
  setTimeout(() => { button.textContent = said; }, 1500);
});

let last = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest("input[type=checkbox][name]");
  const table = box?.closest("table");
  if (!table) return;
  const all = [...table.querySelectorAll("input[type=checkbox][name]")];
  if (event.shiftKey && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
    all.slice(from, to + 1).forEach((one) => { one.checked = box.checked; });
  }
  last = box;
  tell();
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-select-all]")) return;
  event.target.closest("table").querySelectorAll("input[type=checkbox][name]").forEach((one) => { one.checked = event.target.checked; });
  tell();
});

// -- keys

const rows = () => [...document.querySelectorAll("main tbody tr")].filter((one) => one.querySelector("a, button, input"));

function move(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement.closest("tbody tr"));
  const row = all[Math.max(0, Math.min(all.length - 1, at < 0 ? (by < 0 ? all.length - 1 : 0) : at + by))];
  (row?.querySelector("a") || row?.querySelector("button, input"))?.focus();
}

let prefix = 0;
const KEYS = {
  "/": () => document.querySelector("#q")?.focus(),
  r: () => refresh(true),
  j: () => move(1),
  k: () => move(-1),
  x: () => document.activeElement.closest("tbody tr")?.querySelector("input[type=checkbox]")?.click(),
  g: () => { prefix = Date.now(); },
  "?": () => {
    const help = document.querySelector("#keys");
    if (!help || document.querySelector("dialog[open]")) return;
    const close = element("button", "Close");
    const box = dialog(element("h2", "Keys"), help.content.cloneNode(true), close);
    close.addEventListener("click", () => box.close());
  },
};

document.addEventListener("keydown", (event) => {
  if (html.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog")) return;
  const isSecond = Date.now() - prefix < 1500;
  prefix = 0;
  const link = isSecond && document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  if (link) return link.click();
  const does = KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

// -- a job that runs

const follow = document.querySelector("[data-follow]");
if (follow) {
  const log = follow.querySelector("ol");
  const source = new EventSource(follow.dataset.follow);
  source.addEventListener("line", (event) => {
    const { at, text } = JSON.parse(event.data);
    const line = element("li", text);
    const time = element("time", at);
    line.prepend(time, " ");
    log.append(line);
    while (log.children.length > 200) log.firstElementChild.remove();
    log.hidden = false;
    log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("progress", (event) => {
    const { done, total, text } = JSON.parse(event.data);
    const bar = follow.querySelector("progress");
    bar.hidden = total === null;
    if (total !== null) { bar.max = total; bar.value = done; }
    follow.querySelector(".progress").textContent = text;
  });
  source.addEventListener("end", () => { source.close(); refresh(true); });
}

// -- the browser's own time zone, first among all

const zones = document.querySelector("[data-zone]");
const own = zones && [...zones.options].find((one) => one.text === Intl.DateTimeFormat().resolvedOptions().timeZone);
if (own) zones.prepend(own);

arm(document);
tell();
