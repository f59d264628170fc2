// Pages work without this. It keeps them up to date, asks before what can't be undone, and adds two keys.
const EVERY_MS = 4000;
const live = document.querySelector("#live");

function busy() {
  const at = document.activeElement;
  const chosen = String(document.getSelection() || "");
  return document.hidden || chosen || (at && at.closest("main form, main [data-live] details"));
}

async function refresh() {
  const regions = document.querySelectorAll("[data-live]");
  if (!regions.length || busy()) return;
  try {
    const reply = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!reply.ok) throw new Error(reply.status);
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = page.querySelectorAll("[data-live]");
    if (busy() || fresh.length !== regions.length) return;
    regions.forEach((region, n) => {
      if (region.innerHTML === fresh[n].innerHTML) return;
      const open = [...region.querySelectorAll("details")].map((one) => one.open);
      const link = region.contains(document.activeElement) && document.activeElement.getAttribute("href");
      region.replaceChildren(...fresh[n].childNodes);
      region.querySelectorAll("details").forEach((one, at) => { if (at in open) one.open = open[at]; });
      if (link) [...region.querySelectorAll("a")].find((one) => one.getAttribute("href") === link)?.focus();
    });
    live.replaceChildren(...page.querySelector("#live").childNodes);
  } catch {
    live.textContent = "not up to date: the server does not answer";
  }
}

document.addEventListener("submit", (event) => {
  const ask = event.target.dataset.ask;
  if (ask && !confirm(ask)) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("#q")?.focus();
  } else if (event.key === "r") refresh();
});

setInterval(refresh, EVERY_MS);
