// Adds and removes rows of a form in place; without it the same buttons ask the server for a page with one row more or less.
"use strict";
(() => {
  const rowsOf = (part) => Array.from(document.querySelectorAll(`[data-row="${part}"]`));
  const say = (part) => {
    const status = document.querySelector(`[data-rows-said="${part}"]`);
    if (status) status.textContent = `${rowsOf(part).length} 行 rows`;
  };
  const renamed = (part) => rowsOf(part).forEach((row, at) => {
    const number = row.querySelector("[data-row-number]");
    if (number) number.textContent = at + 1;
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-row-add], [data-row-remove]");
    if (!button) return;
    event.preventDefault();
    if (button.dataset.rowAdd) {
      const part = button.dataset.rowAdd;
      const holder = document.getElementById(`rows-${part}`);
      const next = Number(holder.dataset.next);
      holder.dataset.next = next + 1;
      const markup = document.getElementById(`row-${part}`).innerHTML.replaceAll("__n__", String(next));
      holder.insertAdjacentHTML("beforeend", markup);
      renamed(part);
      say(part);
      holder.lastElementChild.querySelector("input, select, textarea").focus();
    } else {
      const part = button.dataset.rowRemove;
      const row = button.closest("[data-row]");
      const near = row.nextElementSibling || row.previousElementSibling;
      if (rowsOf(part).length < 2) return;
      row.remove();
      renamed(part);
      say(part);
      const target = near && near.querySelector("input, select, textarea");
      (target || document.querySelector(`[data-row-add="${part}"]`)).focus();
    }
  });
  // on a narrow screen the navigation is scrolled sideways: where one is stays in sight
  const here = document.querySelector(".tabs [aria-current]");
  const tabs = here && here.closest("ul");
  if (tabs && tabs.scrollWidth > tabs.clientWidth) tabs.scrollLeft = here.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
  const faults = document.querySelector(".faults[role=alert]");
  if (faults) faults.focus();
  // a link to a field in a part that is folded away opens it
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target && target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    if (target) target.focus();
  };
  addEventListener("hashchange", unfold);
  unfold();
})();
