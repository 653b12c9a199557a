"use strict";
// Tables: a click on a header sorts, a button below downloads what is shown as CSV.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const number = (text) => (text === "" ? NaN : Number(text.replace(/,/g, "")));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [text(a), text(b)];
        if ((x === "") !== (y === "")) return x === "" ? 1 : -1; // empty cells last
        const difference = number(x) - number(y);
        const order = Number.isNaN(difference) ? x.localeCompare(y) : difference;
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  const download = document.createElement("button");
  download.type = "button";
  download.className = "download";
  download.textContent = "Download CSV";
  download.setAttribute("aria-label", "Download CSV: " + table.caption.textContent);
  download.addEventListener("click", () => {
    // A spreadsheet would run a cell that begins like a formula.
    const safe = (text) => (/^[=+@\t\r]|^-(?![\d.])/.test(text) ? "'" + text : text);
    const cell = (each) => '"' + safe(each.textContent).replace(/"/g, '""') + '"';
    const lines = [...table.rows].map((row) => [...row.cells].map(cell).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = table.id + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  table.parentElement.after(download);
}
