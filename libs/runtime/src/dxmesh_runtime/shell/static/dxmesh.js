// Keeps a page fresh: fetches it again and replaces <main>; rests while the page is hidden, in use, or the server is away.
"use strict";
(() => {
  const seconds = Number(document.body.dataset.refreshSeconds);
  if (!seconds) return;
  const main = document.getElementById("main");
  const state = document.getElementById("refresh-state");
  const inUse = () => {
    const active = document.activeElement;
    const selection = window.getSelection();
    return (active && active.matches("input, select, textarea")) || (selection && !selection.isCollapsed && main.contains(selection.anchorNode));
  };
  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  let last = main.innerHTML;
  const refresh = async () => {
    if (!document.hidden && !inUse()) {
      try {
        const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", credentials: "same-origin" });
        if (response.redirected) { location.assign(response.url); return; }
        if (!response.ok) throw new Error(String(response.status));
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
        const body = fresh.getElementById("main");
        if (body && !inUse() && body.innerHTML !== last) {
          last = body.innerHTML;
          const focused = document.activeElement && document.activeElement.id;
          const scrolled = Array.from(main.querySelectorAll(".table-wrap"), (one) => one.scrollLeft);
          main.replaceChildren(...body.childNodes);
          main.querySelectorAll(".table-wrap").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
          if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
        }
        const clock = fresh.querySelector("footer time"), own = document.querySelector("footer time");
        if (clock && own) own.replaceWith(clock);
        say("");
      } catch {
        say("· 连接中断，正在重试 Connection lost, trying again");
      }
    }
    setTimeout(refresh, seconds * 1000);
  };
  setTimeout(refresh, seconds * 1000);
})();
