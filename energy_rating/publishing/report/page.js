"use strict";
// What is nicer with a script, and not needed: tables that are sorted by a column, and everything unfolded at once.
const cells = (row) => Array.from(row.cells);
const number = (cell) => (cell.dataset.value === undefined ? NaN : Number(cell.dataset.value));

function compare(a, b, column, sign) {
  const [x, y] = [cells(a)[column], cells(b)[column]];
  const [m, n] = [number(x), number(y)];
  if (!Number.isNaN(m) || !Number.isNaN(n)) {
    // What has no figure stands last, whichever way it is sorted.
    if (Number.isNaN(m)) return 1;
    if (Number.isNaN(n)) return -1;
    return sign * (m - n);
  }
  return sign * x.textContent.localeCompare(y.textContent, "en", { numeric: true });
}

function sort(table, head, column) {
  const falls = head.getAttribute("aria-sort") === "ascending";
  for (const other of cells(table.tHead.rows[0])) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  const rows = Array.from(table.tBodies[0].rows);
  rows.sort((a, b) => compare(a, b, column, falls ? -1 : 1));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  cells(table.tHead.rows[0]).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, head, column));
    head.replaceChildren(button);
  });
}

const folded = Array.from(document.querySelectorAll("details"));
const unfold = (open) => folded.forEach((one) => { one.open = open; });
if (folded.length > 1) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Unfold everything";
  button.addEventListener("click", () => {
    const open = folded.some((one) => !one.open);
    unfold(open);
    button.textContent = open ? "Fold everything" : "Unfold everything";
  });
  const tools = document.createElement("p");
  tools.className = "tools";
  tools.append(button);
  document.querySelector("header").append(tools);
}

// On paper nothing can be unfolded.
let before = [];
window.addEventListener("beforeprint", () => {
  before = folded.map((one) => one.open);
  unfold(true);
});
window.addEventListener("afterprint", () => folded.forEach((one, place) => { one.open = before[place]; }));
