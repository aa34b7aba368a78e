// Sorts the table of scenarios by the heading that is clicked. The page reads the same without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, at) => row.cells[at].dataset.key ?? row.cells[at].textContent.trim();
  const order = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b, "en") : a - b);
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => order(key(a, at), key(b, at)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
