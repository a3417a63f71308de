// A table that is sorted by its headers and drawn a hundred rows at a time: as many as one scrolls to.

const CHUNK = 100;

// columns: {key, title, number, value(item), cell(item), least, className}; a column without value is not sorted by.
// items: what the functions above take; sort: {key, down}; mark(row, item): called for each row that is drawn.
function sortedTable({ caption, columns, items, sort, mark }) {
  const state = { items, sort, order: [], drawn: 0 };
  const body = el("tbody", {});
  const heads = new Map();
  const headRow = el("tr", {}, ...columns.map((column) => head(column)));
  const table = el("table", { class: "data" }, el("caption", { class: "hidden" }, caption), el("thead", {}, headRow), body);
  const scroll = el("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, table);
  const more = el("button", { type: "button", class: "more", on: { click: () => draw(CHUNK) } });
  const element = el("div", {}, scroll, more);

  function head(column) {
    const className = `${column.number ? "number" : ""} ${column.className || ""}`.trim();
    const content = column.value
      ? el("button", { type: "button", on: { click: () => sortBy(column) } }, column.title)
      : el("span", { class: "plain-head" }, column.title);
    const cell = el("th", { scope: "col", class: className || null }, content);
    heads.set(column.key, cell);
    return cell;
  }

  function sortBy(column) {
    const same = state.sort.key === column.key;
    state.sort = { key: column.key, down: same ? !state.sort.down : Boolean(column.down) };
    arrange();
    say(`sorted by ${column.title}, ${state.sort.down ? "descending" : "ascending"}`);
  }

  function arrange() {
    const column = columns.find((one) => one.key === state.sort.key);
    const sign = state.sort.down ? -1 : 1;
    const keyed = state.items.map((item, place) => ({ item, place, value: column.value(item) }));
    keyed.sort((a, b) => {
      const [none, other] = [a.value === null || a.value === undefined, b.value === null || b.value === undefined];
      if (none || other) return none - other || a.place - b.place; // what has no value comes last either way
      const less = typeof a.value === "string" ? a.value.localeCompare(b.value, "en", { numeric: true }) : a.value - b.value;
      return sign * less || a.place - b.place;
    });
    state.order = keyed.map((one) => one.item);
    for (const [key, cell] of heads) {
      if (key === state.sort.key) cell.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    body.replaceChildren();
    state.drawn = 0;
    draw(CHUNK);
  }

  function draw(count) {
    const next = state.order.slice(state.drawn, state.drawn + count);
    body.append(...next.map((item) => {
      const row = el("tr", {}, ...columns.map((column) => el("td", {
        class: `${column.number ? "number" : ""} ${column.className || ""}`.trim() || null,
      }, column.cell(item))));
      mark(row, item);
      return row;
    }));
    state.drawn += next.length;
    const left = state.order.length - state.drawn;
    more.hidden = left <= 0;
    more.textContent = `Show ${shown(Math.min(CHUNK, left))} more of ${shown(left)}`;
  }

  if ("IntersectionObserver" in window) {
    new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting) && !more.hidden) draw(CHUNK);
    }, { rootMargin: "600px" }).observe(more);
  }
  arrange();
  return {
    element,
    order: () => state.order,
    setItems(wanted) { state.items = wanted; arrange(); },
    // Draw on until the item has its row.
    reveal(item) {
      const place = state.order.indexOf(item);
      if (place >= state.drawn) draw(place + 1 - state.drawn);
      return place < 0 ? null : body.children[place];
    },
  };
}
