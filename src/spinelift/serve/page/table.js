// The table of scans: one row a scan, kept in place while its text changes, sortable by every column.
import { $, given, make, write } from "./dom.js";
import { CLASSES, ORDER, plural, value } from "./words.js";

const table = document.querySelector("#scans table"), body = table.tBodies[0];
const rows = new Map();
const sorting = { key: "added", down: true };
const STATES = ["waiting", "uploading", "queued", "running", "done", "failed", "cancelled"];
const measured = (scan) => scan.job?.summary?.measures;
const KEYS = {
  added: (scan) => scan.added,
  name: (scan) => scan.name,
  state: (scan) => STATES.indexOf(scan.state),
  angle: (scan) => measured(scan)?.ferguson_deg.value,
  kyphosis: (scan) => measured(scan)?.kyphosis_deg.value,
  lordosis: (scan) => measured(scan)?.lordosis_deg.value,
  screening: (scan) => scan.job?.summary && ORDER.indexOf(scan.job.summary.screening.finding),
  warnings: (scan) => (scan.state === "done" ? scan.job.warnings.length : undefined),
};
let draw = () => {};

export function stateText(scan) {
  const { state, job } = scan;
  if (state === "uploading") return `uploading ${Math.round(100 * scan.share)} %`;
  if (state === "waiting") return scan.retry ? `waiting: ${scan.retry}` : "waiting for its upload";
  if (state === "queued") return job.position ? `queued, place ${job.position}` : "queued";
  return state;
}

// `open(scan)` when its name is pressed, `drop(scan)` for its button.
export function startTable(open, drop) {
  for (const head of table.querySelectorAll("th[data-key]")) {
    head.firstChild.addEventListener("click", () => {
      const { key } = head.dataset;
      sorting.down = sorting.key === key ? !sorting.down : false;
      sorting.key = key;
      draw();
    });
  }
  return (scans, opened) => {
    draw = () => show(scans, opened, open, drop);
    draw();
  };
}

function compare(a, b) {
  const [x, y] = [a, b].map(KEYS[sorting.key]);
  if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);  // Empty ones last, either way.
  const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
  return (sorting.down ? -order : order) || b.added - a.added;
}

function show(scans, opened, open, drop) {
  for (const head of table.querySelectorAll("th[data-key]")) {
    if (head.dataset.key !== sorting.key) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
  }
  const sorted = [...scans].sort(compare), focused = document.activeElement;
  const keys = new Set(scans.map((scan) => scan.key));
  for (const [key, row] of rows) {
    if (keys.has(key)) continue;
    row.element.remove();
    rows.delete(key);
  }
  sorted.forEach((scan, k) => {
    if (!rows.has(scan.key)) rows.set(scan.key, newRow(scan, open, drop));
    const row = rows.get(scan.key);
    if (body.children[k] !== row.element) body.insertBefore(row.element, body.children[k] ?? null);
    fill(row, scan, scan === opened);
  });
  if (document.activeElement !== focused && body.contains(focused)) focused.focus();
  const counts = STATES.map((state) => [state, scans.filter((scan) => scan.state === state).length]);
  const parts = counts.filter(([, count]) => count).map(([state, count]) => `${count} ${state}`);
  write($("counts"), `${plural(scans.length, "scan")}: ${parts.join(", ")}`);
  $("scans").hidden = !scans.length;
  $("table-links").hidden = !scans.some((scan) => scan.state === "done");
}

function newRow(scan, open, drop) {
  const cell = (className, label = "") => make("td", { role: "cell", className, "data-label": label });
  const name = make("button", { type: "button", className: "link", onclick: () => open(scan) }, given(scan.name));
  const row = {
    name, state: cell("state"), angle: cell("n", "Angle"), kyphosis: cell("n", "Kyphosis"),
    lordosis: cell("n", "Lordosis"), screening: cell("", "Screening"), warnings: cell("n", "Warnings"),
    button: make("button", { type: "button", onclick: () => drop(scan) }, "×"),
    text: make("span"), bar: make("progress", { max: 1, "aria-hidden": "true" }),
  };
  row.state.append(row.text, row.bar);
  row.element = make("tr", { role: "row" }, make("th", { role: "rowheader", scope: "row" }, name), row.state, row.angle,
    row.kyphosis, row.lordosis, row.screening, row.warnings, make("td", { role: "cell", className: "act" }, row.button));
  return row;
}

function fill(row, scan, isOpen) {
  const { job, state } = scan, found = job?.summary;
  row.element.className = isOpen ? "open" : "";
  if (isOpen) row.name.setAttribute("aria-current", "true");
  else row.name.removeAttribute("aria-current");
  write(row.name.firstChild, scan.name);
  write(row.text, stateText(scan));
  row.state.className = `state ${state}`;
  row.bar.hidden = !["uploading", "running"].includes(state);
  if (state === "uploading") row.bar.value = scan.share;
  else row.bar.removeAttribute("value");
  for (const key of ["angle", "kyphosis", "lordosis"]) {
    write(row[key], found ? value(found.measures[key === "angle" ? "ferguson_deg" : `${key}_deg`]) : "");
  }
  write(row.screening, found ? CLASSES[found.screening.finding] : "");
  write(row.warnings, state === "done" ? String(job.warnings.length) : "");
  row.warnings.classList.toggle("some", Boolean(job?.warnings.length));
  const what = scan.isFinal ? "Remove" : "Cancel";
  row.button.title = what;
  row.button.setAttribute("aria-label", `${what} ${scan.name}`);
}
