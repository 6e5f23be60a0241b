// the run sheet beside the page calls this: what differs from run to run goes to the places that wait for it
function showRun(sheet) {
  if (sheet.state !== document.documentElement.dataset.state) return;
  for (const [slot, html] of Object.entries(sheet.slots)) {
    for (const place of document.querySelectorAll(`[data-slot="${slot}"]`)) place.innerHTML = html;
  }
}

// state.js, which git keeps, names the state that is checked out; a page that lies there alone cannot know
function tellIfStale() {
  const stale = window.checkedOut !== undefined && window.checkedOut !== document.documentElement.dataset.state;
  document.getElementById("stale").hidden = !stale;
  document.getElementById("checked-out").textContent = window.checkedOut ?? "";
}

// a table that is wider than its card says so
function hintAtWideTables() {
  for (const box of document.querySelectorAll(".scroll")) {
    let hint = box.previousElementSibling;
    if (!hint?.classList.contains("hint")) {
      hint = document.createElement("p");
      hint.className = "hint";
      hint.textContent = "scroll sideways for more \u2192";
      box.before(hint);
    }
    hint.hidden = box.scrollWidth <= box.clientWidth + 1;
  }
}

// a click on a heading sorts its table: numbers by size, texts by alphabet; a second click turns it round
function sortOnClick() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const value = (row, column) => {
      const text = row.cells[column].dataset.order ?? row.cells[column].innerText.trim();
      const number = parseFloat(text.replace(/[,\s\u00a0\u202f]/g, ""));
      return Number.isNaN(number) ? text.toLowerCase() : number;
    };
    const order = (one, two) =>
      typeof one === typeof two ? (one < two ? -1 : one > two ? 1 : 0) : typeof one === "number" ? -1 : 1;
    table.tHead.rows[0].querySelectorAll("th").forEach((heading, column) => {
      const button = document.createElement("button");
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].sort((one, two) => order(value(one, column), value(two, column)));
        body.append(...(up ? rows : rows.reverse()));
      });
    });
  }
}

// behind the two scripts that lie beside the page
addEventListener("load", () => {
  tellIfStale();
  sortOnClick();
  hintAtWideTables();
  for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", hintAtWideTables);
});
addEventListener("resize", hintAtWideTables);

// paper cannot be clicked, and not every browser opens folds in print by style
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) fold.open = fold.dataset.printed = true;
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-printed]")) {
    fold.open = false;
    delete fold.dataset.printed;
  }
});
