// What the pages do on top of what they do without it: follow what changes, and obey keys. Everything that is shown comes
// from the server as a page; this only asks for it again.
"use strict";
(() => {
  const root = document.documentElement;
  const main = document.getElementById("main");
  const live = document.body.dataset.live;
  root.classList.add("js");
  // On a phone the places stand in a row that is wider than it: the one where one is comes into sight.
  const here = document.querySelector("nav [aria-current]");
  if (here) here.scrollIntoView({ block: "nearest", inline: "center" });

  const keyed = () => [...main.querySelectorAll("[data-key]")];
  const chosen = () => document.activeElement && document.activeElement.closest("[data-key]");

  function choose(row) {
    if (!row) return;
    const target = row.tabIndex === -1 && row.hasAttribute("tabindex") ? row : row.querySelector("a");
    target.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  // Puts the page as it is now in place of the one that is shown, and keeps the place of whoever looks at it.
  let asking = false, again = false;
  async function follow() {
    if (asking) { again = true; return; }
    const typing = main.querySelector("input:focus, details.sure[open]");
    if (typing) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      if (!fresh || fresh.innerHTML === main.dataset.before) return;
      const before = new Set(keyed().map((row) => row.dataset.key));
      const at = chosen() && chosen().dataset.key;
      const place = at ? keyed().findIndex((row) => row.dataset.key === at) : -1;
      main.dataset.before = fresh.innerHTML;
      main.replaceChildren(...fresh.childNodes);
      const rows = keyed();
      if (before.size) rows.filter((row) => !before.has(row.dataset.key)).forEach((row) => row.classList.add("changed"));
      if (at) choose(rows.find((row) => row.dataset.key === at) || rows[Math.min(place, rows.length - 1)]);
    } catch (error) {
      // The node is away; the stream of news comes back by itself when it is there again.
    } finally {
      asking = false;
      if (again) { again = false; setTimeout(follow, 500); }
    }
  }

  const follows = ["held", "mail", "sent", "queue", "flow", "alerts", "peers"];
  const letter = main.querySelector(".letter");
  if (live && follows.includes(live) && !letter && window.EventSource) {
    const news = new EventSource("/live");
    news.addEventListener("changed", (event) => {
      if (event.data.split(" ").includes(live)) follow();
    });
    let broken = false;
    news.onerror = () => { broken = true; };
    news.onopen = () => { if (broken) { broken = false; follow(); } };
    // Times go on even where nothing happens.
    setInterval(() => { if (!document.hidden) follow(); }, live === "peers" ? 5000 : 30000);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const rows = keyed();
    const at = rows.indexOf(chosen());
    switch (event.key) {
      case "j": choose(rows[Math.min(at + 1, rows.length - 1)]); break;
      case "k": choose(rows[Math.max(at - 1, 0)]); break;
      case "?": root.classList.toggle("hide-keys"); break;
      case "a": case "t": case "r": case "o": {
        const one = rows[at] || (main.querySelectorAll(".acts").length === 1 ? main : null);
        const press = one && one.querySelector(`[data-act="${event.key}"]`);
        if (!press) return;
        press.click();
        break;
      }
      default: return;
    }
    event.preventDefault();
  });
})();
