// The panel of one scan: its result, its progress, or why it failed.
import { Gone, request } from "./api.js";
import { $, given, make, write } from "./dom.js";
import { stateText } from "./table.js";
import { bytes, CLASSES, curveText, interval, mainCurve, measureRows, plural, value } from "./words.js";

const panel = $("result");
let shown = "";
const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const FILES = [
  ["report.pdf", "Report (PDF)"], ["report.html", "Report (HTML)"], ["curves.json", "Curves and measures (JSON)"],
  ["curves.csv", "Curves (CSV)"], ["spine.stl", "Spine, mesh (STL)"], ["spine_parts.stl", "Spine, levels, vertebrae (STL)"],
  ["spine.glb", "Spine, levels, vertebrae (GLB)"], ["spine.mrk.json", "Markups for 3D Slicer"], ["spine.html", "3D page (HTML)"],
  ["spine.gif", "Turning spine (GIF)"], ["overlay.png", "Figure (PNG)"], ["sr.dcm", "DICOM structured report"],
  ["seg.dcm", "DICOM segmentation"], ["sc.dcm", "DICOM picture"], ["pdf.dcm", "DICOM report (PDF)"], ["stl.dcm", "DICOM mesh (STL)"],
];
const download = (url) => `${url}${url.includes("?") ? "&" : "?"}download=1`;
const theme = () => document.documentElement.dataset.theme;

// Show a scan, or nothing chosen; `act` has drop(scan), spacing(scan) and area(scan).
export async function showResult(scan, act) {
  const file = (name) => scan?.job?.files.find((one) => one.name === name);
  const spine = file("spine.html")?.url;  // Of a running job it can be there before the rest.
  const now = scan ? [scan.key, scan.state, spine].join() : "none", progress = panel.querySelector(".progress");
  if (now === shown && progress) showProgress(progress, scan);
  if (now === shown) return;
  shown = now;
  if (!scan) {
    const text = "The spine, its measures and all files of a scan are shown here.";
    put(make("div", { className: "card empty" }, title("Result"), make("p", {}, text)));
  } else if (scan.state !== "done") {
    put(unfinished(scan, act), spine, spine ? [figures(scan.job.summary)] : []);
  } else {
    try {
      const found = await request("GET", file("curves.json").url);
      if (shown === now) put(head(scan, found, file, act), spine, finished(scan, found, file));
    } catch (error) {
      if (shown === now) put(unread(scan, act, error));
    }
  }
}

// Fill the panel; the 3D page of the same address stays, so that it goes on turning.
function put(top, spine = null, rest = []) {
  const old = panel.querySelector("iframe"), isFocused = panel.contains(document.activeElement) && document.activeElement !== old;
  if (old && old.dataset.url === spine) {
    panel.firstElementChild.replaceWith(top);
    while (old.nextSibling) old.nextSibling.remove();
    panel.append(...rest);
  } else {
    const frame = spine && make("iframe", { title: "3D spine. Arrow keys turn it.", "data-url": spine,
      sandbox: "allow-scripts allow-downloads", src: `${spine}#${theme()},turn` });
    panel.replaceChildren(...[top, frame, ...rest].filter(Boolean));
  }
  if (isFocused && !panel.contains(document.activeElement)) panel.focus({ preventScroll: true });
}

const title = (text) => make("h2", { id: "result-title", className: "title" }, text);
const button = (text, onclick, className = "") => make("button", { type: "button", onclick, className }, text);
const card = (name, ...parts) => make("section", { className: "card", "aria-label": name }, make("h3", {}, name), ...parts);

function unread(scan, act, error) {
  shown = "";
  const why = error instanceof Gone ? "The server does not answer." : error.message;
  return make("div", { className: "card" }, title(given(scan.name)), make("p", { className: "problem" }, `The result cannot be shown. ${why}`),
    make("div", { className: "row" }, button("Try again", () => showResult(scan, act))));
}

function unfinished(scan, act) {
  const { state, problem, chosen } = scan, parts = [title(given(scan.name))], buttons = [];
  if (state === "failed" && problem) {
    const lines = [["Found", problem.found], ["Expected", problem.expected], ["Do", problem.do]].filter(([, text]) => text);
    parts.push(make("div", { className: "error" },
      make("p", {}, make("b", { className: "failed" }, "This scan failed "), make("span", { className: "soft" }, `(${problem.error})`)),
      make("dl", {}, lines.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]))));
    const isHere = chosen.files.length > 0;
    if (isHere && problem.error === "NoSpacingError") buttons.push(button("Give the pixel size", () => act.spacing(scan), "main"));
    if (isHere && problem.do.includes("area=total-body")) buttons.push(button("Take it as a total body", () => act.area(scan), "main"));
  } else {
    parts.push(showProgress(make("div", { className: "progress" }, make("p"), make("progress")), scan));
  }
  buttons.push(button(scan.isFinal ? "Remove" : "Cancel", () => act.drop(scan)));
  return make("div", { className: "card" }, parts, make("div", { className: "row" }, buttons));
}

function showProgress(element, scan) {
  const { state } = scan, [line, bar] = element.children, isEarly = scan.job?.files.length > 0;
  const text = isEarly ? "Running: the report and the other files are being made" : stateText(scan);
  write(line, text[0].toUpperCase() + text.slice(1));
  bar.hidden = !["uploading", "running"].includes(state);
  bar.setAttribute("aria-label", state);
  if (state === "uploading") bar.value = scan.share;
  return element;
}

function head(scan, found, file, act) {
  const { job } = scan;
  const until = new Date(job.expires);
  const link = (name, text, className) => file(name) && make("a", { className, href: download(file(name).url), download: "" }, text);
  return make("div", { className: "card" },
    make("div", {}, title(given(job.scan_id || scan.name)),
      make("p", { className: "soft" }, given(scan.name), isNaN(until) ? "" : `, kept until ${TIME.format(until)}`)),
    warnings(job.warnings, found.screening.reasons),
    make("div", { className: "row" },
      link("report.pdf", "Download PDF", "button main"),
      make("a", { className: "button", href: job.links.archive, download: "" }, "All files (zip)"),
      file("report.html") && make("a", { className: "button", href: file("report.html").url, target: "_blank", rel: "noopener" }, "Open the report"),
      button("Remove", () => act.drop(scan))));
}

function finished(scan, found, file) {
  const main = mainCurve(found), angle = value(found.measures.ferguson_deg);
  const overlay = file("overlay.png") && make("section", { className: "card picture", "aria-label": "Figure" }, make("h3", {}, "Figure"),
    make("a", { href: file("overlay.png").url, target: "_blank", rel: "noopener" }, make("img", { loading: "lazy", src: file("overlay.png").url, width: 2100, height: 2700,
      alt: `Front view on the scan with the predicted spine, beside the side view. Main curve: ${curveText(main)}; modified Ferguson angle ${angle}.` })));
  return [figures(found), measures(found), curves(found, main), overlay, files(scan.job)].filter(Boolean);
}

function warnings(texts, reasons) {
  const others = reasons.filter((text) => !texts.includes(text)), list = (all) => make("ul", {}, all.map((text) => make("li", {}, text)));
  return make("div", { className: texts.length ? "warnings any" : "warnings" },
    ...(texts.length ? [make("b", {}, texts.length === 1 ? "Warning" : "Warnings"), list(texts)] : [make("p", {}, "No warnings for this scan.")]),
    ...(others.length ? [make("p", {}, make("strong", {}, "Reasons to distrust the screening")), list(others)] : []));
}

// `found`: measures and screening.
function figures(found) {
  const { measures: { ferguson_deg: ferguson }, screening } = found, main = mainCurve(found), range = interval(ferguson);
  const { probability, direction_probability: side } = screening;
  const percent = (share) => `${Math.round(100 * share)} %`;
  const rows = Object.entries(probability ?? {}).map(([name, share]) => make("tr", {}, make("td", {}, CLASSES[name]),
    make("td", { "aria-hidden": "true" }, make("progress", { value: share })), make("td", { className: "n" }, percent(share))));
  return make("div", { className: "wide" },
    card("Modified Ferguson angle",
      make("p", { className: "finding" }, value(ferguson)), range && make("p", {}, `90 % interval ${range}`),
      make("p", {}, "Main curve: ", make("b", {}, curveText(main)))),
    card(`Screening: ${CLASSES[screening.finding]}`,
      rows.length ? make("table", { className: "chances" }, make("tbody", {}, rows)) : make("p", {}, "Probability not known: the bundle is not calibrated."),
      make("p", { className: "soft" }, `Repeatability of the angle: ${screening.minimal_detectable_change_deg}°.`,
        main && side !== null ? ` Convex ${main.direction} in ${percent(side)} of plausible spines.` : "")));
}

function grid(heads, rows, numbers, marked = () => false) {
  const cell = (tag, text, k, more = {}) => make(tag, { className: numbers.includes(k) ? "n" : "", ...more }, text);
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `Table: ${heads[0]}` }, make("table", {},
    make("thead", {}, make("tr", {}, heads.map((text, k) => cell("th", text, k, { scope: "col" })))),
    make("tbody", {}, rows.map((row, r) => make("tr", { className: marked(r) ? "main-curve" : "" },
      row.map((text, k) => (k ? cell("td", text, k) : cell("th", text, k, { scope: "row" }))))))));
}

const measures = (found) => card("Measures", grid(["Measure", "Value", "90 % interval", "View"], measureRows(found), [1, 2]));

function curves({ measures: { curves: all } }, main) {
  const rows = all.map((c) => [c.type, c.direction, `${c.upper_end} – ${c.lower_end}`, c.apex, value(c.ferguson_deg), interval(c.ferguson_deg), value(c.cobb_equivalent_deg)]);
  const heads = ["Curve", "Convex", "Ends", "Apex", "Ferguson", "90 % interval", "Cobb-equivalent"];
  return all.length ? card("Curves", grid(heads, rows, [4, 5, 6], (k) => all[k] === main)) : null;
}

function files({ files: all, links }) {
  const order = new Map(FILES.map(([name], k) => [name, k])), at = ({ name }) => order.get(name) ?? FILES.length;
  const text = ({ name }) => FILES[at({ name })]?.[1] ?? name;
  const items = [...all].sort((a, b) => at(a) - at(b)).map((one) => make("li", {},
    make("a", { href: download(one.url), download: "" }, text(one)), make("span", { className: "soft" }, ` ${bytes(one.bytes)}`)));
  return card("Files", make("ul", { className: "files" }, items),
    make("p", {}, make("a", { href: links.archive, download: "" }, `All ${plural(all.length, "file")} as zip`)));
}

// The 3D page follows the theme of this page.
export function followTheme() {
  const frame = panel.querySelector("iframe");
  if (frame) frame.src = frame.src.replace(/#.*/, `#${theme()}`);
}
