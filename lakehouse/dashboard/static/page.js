"use strict";
// Shows what Python has drawn: chooses the page, the days and the tables. State is in the address.
const PAGES = [...document.querySelectorAll("nav.pages a")].map((link) => link.dataset.page);
const DAY = 86400000;
const main = document.querySelector("main");
const spoken = document.getElementById("spoken");
const overview = main.innerHTML;
const unpacked = {};
let shown = "";
let tables = {};

function stateOf(hash) {
  return Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
}

function merged(change) {
  const state = { ...stateOf(location.hash), ...change };
  if (change.model || change.page) for (const key of ["panel", "column"]) if (!change[key]) delete state[key];
  if (state.page === "overview") return "#page=overview";
  return "#" + new URLSearchParams(state);
}

async function unpack(model) {
  if (!unpacked[model]) {
    const packed = [...document.querySelectorAll("script.data")].find((each) => each.dataset.model === model);
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked[model] = JSON.parse(await new Response(text).text());
  }
  return unpacked[model];
}

async function show() {
  const state = stateOf(location.hash);
  const models = [...document.querySelectorAll("script.data")].map((each) => each.dataset.model);
  const model = models.includes(state.model) ? state.model : models[0];
  const page = PAGES.includes(state.page) && models.length ? state.page : "overview";
  const wanted = page === "overview" ? page : `${model} ${page}`;
  if (wanted !== shown) {
    if (page === "overview") {
      main.innerHTML = overview;
      tables = main.dataset.model ? (await unpack(main.dataset.model)).tables : {};
    } else {
      const data = await unpack(model);
      tables = data.tables;
      main.innerHTML = data.pages[page];
    }
    if (shown) window.scrollTo(0, 0);
    shown = wanted;
  }
  document.body.dataset.page = page;
  for (const link of document.querySelectorAll("nav a")) {
    const own = link.dataset.page ? { model, page: link.dataset.page } : { model: link.dataset.model, page: page === "overview" ? "performance" : page };
    link.setAttribute("href", merged(own));
    const current = link.dataset.page ? link.dataset.page === page : page !== "overview" && link.dataset.model === model;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const link of main.querySelectorAll("a[href^='#']")) {
    link.dataset.own ??= link.getAttribute("href");
    link.setAttribute("href", merged(stateOf(link.dataset.own)));
  }
  chooseColumn(state.column);
  chooseDays(state.days);
  const chosen = document.getElementById(state.panel ?? "");
  chosen?.scrollIntoView();
  if (chosen?.tabIndex === -1) chosen.focus({ preventScroll: true });
  document.title = page === "overview" ? document.body.dataset.title : `${model}: ${page}`;
  document.body.dataset.ready = Math.round(performance.now());
}

function chooseColumn(column) {
  const panels = [...main.querySelectorAll("[data-column]")];
  const chosen = panels.some((each) => each.dataset.column === column) ? column : panels[0]?.dataset.column;
  for (const panel of panels) panel.hidden = panel.dataset.column !== chosen;
  for (const link of main.querySelectorAll("a.column")) link.toggleAttribute("aria-current", link.textContent === chosen);
}

// The days that all charts show: the newest so many, or all.
function chooseDays(days) {
  const charts = [...main.querySelectorAll(".chart")];
  const all = Math.max(0, ...charts.map((chart) => Number(chart.dataset.days)));
  const few = days ? Math.min(Number(days) || all, all) : all > 400 ? 365 : all;
  for (const link of document.querySelectorAll("nav.days a")) {
    const own = link.dataset.days === "all" ? all : Number(link.dataset.days);
    link.setAttribute("href", merged({ days: link.dataset.days === "all" ? all : link.dataset.days }));
    link.toggleAttribute("aria-current", own === few);
    link.hidden = link.dataset.days !== "all" && own >= all;
  }
  for (const chart of charts) {
    const own = Number(chart.dataset.days);
    zoom(chart, own - Math.min(few, own), Math.min(few, own));
  }
}

function zoom(chart, from, days) {
  chart.from = from;
  chart.shownDays = days;
  const area = chart.querySelector(".zoom");
  const [, , , height] = area.getAttribute("viewBox").split(" ");
  area.setAttribute("viewBox", `${from} 0 ${days} ${height}`);
  const width = area.clientWidth;
  let free = -Infinity;
  for (const mark of chart.querySelectorAll(".marks text")) {
    const x = (Number(mark.dataset.x) - from) / days;
    const place = x * width;
    mark.setAttribute("x", `${100 * x}%`);
    const fits = x >= 0 && x <= 1 && place >= free;
    mark.toggleAttribute("hidden", !fits);
    if (fits) free = place + 9 * mark.firstChild.textContent.length + 6;
  }
  chart.classList.toggle("dense", width < 7 * days);
  ticks(chart, from, days, width);
}

function ticks(chart, from, days, width) {
  const first = Date.parse(chart.dataset.first);
  const step = [1, 2, 7, 14, 31, 61, 92, 184, 366].find((each) => (days / each) * 64 <= width) ?? 731;
  const words = [];
  for (let day = Math.ceil(from); day < from + days; day++) {
    const date = new Date(first + day * DAY);
    const months = date.getUTCFullYear() * 12 + date.getUTCMonth();
    const every = step < 31 ? Math.round(first / DAY + day) % step === 0 : date.getUTCDate() === 1 && months % Math.max(1, Math.floor(step / 30)) === 0;
    if (!every || ((day - from) / days) * width > width - 44) continue;
    const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
    const iso = date.toISOString();
    text.textContent = step < 31 ? iso.slice(5, 10) : iso.slice(0, 7);
    text.setAttribute("x", `${(100 * (day - from)) / days}%`);
    text.setAttribute("y", "12");
    words.push(text);
  }
  chart.querySelector("svg.x").replaceChildren(...words);
}

function rowsOf(name, where) {
  const table = tables[name];
  if (!table) return { columns: [], rows: [] };
  table.rows ??= (table.values[0] ?? []).map((_, place) => table.values.map((column) => column[place]));
  const [column, value] = (where ?? "").split("=");
  const at = table.columns.indexOf(column);
  return { columns: table.columns, rows: where ? table.rows.filter((row) => row[at] === value) : table.rows };
}

function make(name, text, look) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (look) made.className = look;
  return made;
}

function fill(details) {
  if (!details.open || details.querySelector("table")) return;
  const { columns, rows } = rowsOf(details.dataset.table, details.dataset.where);
  const names = details.dataset.show.split(",");
  const places = names.map((name) => columns.indexOf(name));
  const table = make("table");
  const head = table.createTHead().insertRow();
  for (const name of names) {
    const cell = make("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const place of places) line.insertCell().textContent = row[place];
  }
  const scroll = make("div", undefined, "scroll");
  scroll.tabIndex = 0;
  scroll.append(table);
  details.append(scroll);
}

// What a chart tells of the day under the pointer, or of the one that the arrow keys are at.
function tell(chart, day) {
  const last = chart.from + chart.shownDays - 1;
  chart.day = Math.max(Math.ceil(chart.from), Math.min(day, last));
  const date = new Date(Date.parse(chart.dataset.first) + chart.day * DAY).toISOString().slice(0, 10);
  const { columns, rows } = rowsOf(chart.dataset.table, chart.dataset.where);
  const names = chart.dataset.show.split(",");
  const own = rows.filter((row) => row[columns.indexOf(names[0])].startsWith(date)).slice(0, 8);
  const box = chart.querySelector(".told") ?? chart.querySelector(".plot").appendChild(make("div", undefined, "told"));
  const cursor = chart.querySelector(".cursor") ?? chart.querySelector(".plot").appendChild(make("div", undefined, "cursor"));
  const x = (chart.day + 0.5 - chart.from) / chart.shownDays;
  cursor.style.left = `${100 * x}%`;
  box.style.left = x < 0.5 ? `${100 * x}%` : "auto";
  box.style.right = x < 0.5 ? "auto" : `${100 * (1 - x)}%`;
  const lines = own.map((row) => names.slice(1).map((name) => [name.replaceAll("_", " "), row[columns.indexOf(name)]]).filter(([, value]) => value !== ""));
  box.replaceChildren(make("b", date), ...lines.flatMap((line) => {
    const list = make("dl");
    for (const [name, value] of line) list.append(make("dt", name), make("dd", value));
    return [list];
  }));
  if (!own.length) box.append(make("p", "nothing"));
  return `${date}: ${lines.map((line) => line.map((pair) => pair.join(" ")).join(", ")).join("; ") || "nothing"}`;
}

function hush(chart) {
  for (const each of chart.querySelectorAll(".told, .cursor")) each.remove();
}

main.addEventListener("toggle", (event) => event.target.matches("details.rows") && fill(event.target), true);
main.addEventListener("pointermove", (event) => {
  const area = event.target.closest(".chart .plot");
  for (const each of main.querySelectorAll(".chart")) if (each !== area?.parentElement && each !== document.activeElement) hush(each);
  if (!area) return;
  const box = area.getBoundingClientRect();
  const chart = area.parentElement;
  tell(chart, Math.floor(chart.from + ((event.clientX - box.left) / box.width) * chart.shownDays));
});
main.addEventListener("keydown", (event) => {
  const chart = event.target.closest(".chart");
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7, Home: -1e6, End: 1e6 };
  if (!chart || chart !== event.target) return;
  if (event.key === "Escape") return hush(chart);
  if (!(event.key in steps)) return;
  event.preventDefault();
  const start = chart.day ?? chart.from + chart.shownDays;
  spoken.textContent = tell(chart, start + steps[event.key]);
});
main.addEventListener("focusout", (event) => event.target.matches(".chart") && hush(event.target));
main.addEventListener("click", (event) => {
  if (!event.target.matches("button.copy")) return;
  const code = event.target.parentElement.querySelector("code");
  getSelection().selectAllChildren(code);
  const said = () => { spoken.textContent = event.target.textContent = "Copied"; };
  if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(said, () => document.execCommand("copy") && said());
  else if (document.execCommand("copy")) said();
});
addEventListener("hashchange", show);
addEventListener("resize", () => chooseDays(stateOf(location.hash).days));
addEventListener("beforeprint", () => chooseDays(stateOf(location.hash).days));
show();
