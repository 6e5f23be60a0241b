// a click on a heading sorts its table: numbers by size, texts by alphabet; a second click turns it round
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, column) => {
    const text = row.cells[column].innerText.trim();
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
