// Start of the page: theme, login, choosing and dropping files, and what the parts do for each other.
import { Problem, request } from "./api.js";
import { askSpacing } from "./ask.js";
import { $, say, write } from "./dom.js";
import { chosenFolder, dropped, scansOf } from "./pick.js";
import { followTheme, showResult } from "./result.js";
import { Session } from "./session.js";
import { startTable, stateText } from "./table.js";
import { plural, value } from "./words.js";

const root = document.documentElement, isDark = window.matchMedia("(prefers-color-scheme: dark)");
let opened = null;

// Theme: the system's, until the switch is used.
function setTheme(name) {
  root.dataset.theme = name;
  $("theme").setAttribute("aria-pressed", String(name === "dark"));
  followTheme();
}
const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
const setAutomatic = () => { if (!kept()) setTheme(isDark.matches ? "dark" : "light"); };
setTheme(kept() ?? (isDark.matches ? "dark" : "light"));
isDark.addEventListener("change", setAutomatic);
$("theme").addEventListener("click", () => {
  const name = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", name); } catch { /* not kept */ }
  setTheme(name);
});

const session = new Session({ changed: () => later(), moved, gone, login: () => showLogin() });
const drawTable = startTable(open, drop);
const act = {
  drop,
  spacing: async (scan) => {
    const [sent] = await askSpacing([scan.chosen]);
    if (sent) open(await session.again(scan, { spacing: sent.spacing }));
  },
  area: async (scan) => open(await session.again(scan, { area: "total-body" })),
};

// Draw at most once a frame.
let isLate = false;
function later() {
  if (isLate) return;
  isLate = true;
  requestAnimationFrame(() => {
    isLate = false;
    if (opened && !session.scans.includes(opened)) opened = null;
    opened ??= session.scans.find((scan) => scan.state === "done") ?? null;
    drawTable(session.scans, opened);
    showResult(opened, act);
  });
}

function open(scan) {
  opened = scan;
  later();
  reveal();
  $("result").focus({ preventScroll: true });
}

// Where the result lies below the list, bring it into view.
function reveal() {
  if (window.matchMedia("(max-width: 1199px)").matches) $("result").scrollIntoView();
}

async function drop(scan) {
  const isRemoved = scan.isFinal || !scan.job;
  await session.drop(scan);
  say(`${scan.name}: ${isRemoved ? "removed" : "cancelled"}.`);
  if (isRemoved) requestAnimationFrame(() => (document.querySelector("#scans:not([hidden]) tbody .link") ?? $("choose-files")).focus());
}

function moved(scan) {
  const { state, job, problem } = scan;
  const more = state === "done" ? ` Main angle ${value(job.summary.measures.ferguson_deg)}. ${plural(job.warnings.length, "warning")}.` : "";
  const why = state === "failed" && problem ? ` Found ${problem.found}. ${problem.do}` : "";
  say(`${scan.name}: ${stateText(scan)}.${more}${why}`);
}

function gone(seconds) {
  $("gone").hidden = !seconds;
  const text = `The server does not answer. Next try in ${plural(seconds, "second")}. If it was stopped, start it again: spinelift serve`;
  write($("gone"), seconds ? text : "");
  if (!seconds) about();
}

async function take(picked) {
  const found = await picked.catch(() => null);
  if (!found) {
    write($("passed-over"), "A folder cannot be read. Choose it again.");
    return;
  }
  const { scans, passed } = found;
  const pictures = scans.filter((scan) => scan.isPicture), others = scans.filter((scan) => !scan.isPicture);
  const note = passed ? `${plural(passed, "file")} in the folder passed over: not a scan.` : "";
  write($("passed-over"), scans.length || passed ? note : "Nothing that could be a scan was found.");
  const added = session.add(others);
  if (pictures.length) added.push(...session.add(await askSpacing(pictures)));
  if (added.length) opened = added[0];
  if (added.length === 1) reveal();
  later();
}

// Choosing and dropping files. A drop anywhere on the page counts.
for (const [name, read] of [["files", (files) => scansOf({ files: [...files], folders: [] })], ["folder", chosenFolder]]) {
  $(`choose-${name}`).addEventListener("click", () => $(name).click());
  $(name).addEventListener("change", () => {
    take(read([...$(name).files]));
    $(name).value = "";
  });
}
const over = (event) => event.dataTransfer?.types.includes("Files") && !$("work").hidden && !$("ask").open;
for (const name of ["dragenter", "dragover"]) {
  window.addEventListener(name, (event) => {
    if (!over(event)) return;
    event.preventDefault();
    $("add").classList.add("over");
  });
}
window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("add").classList.remove("over"); });
window.addEventListener("drop", (event) => {
  $("add").classList.remove("over");
  if (!over(event)) return;
  event.preventDefault();
  take(scansOf(dropped(event.dataTransfer)));
});

function showLogin() {
  $("work").hidden = true;
  $("login").hidden = false;
  $("token").focus();
}
$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await request("POST", "v1/session", new URLSearchParams({ token: $("token").value }));
  } catch (error) {
    const why = error instanceof Problem ? `${error.error.found}. ${error.error.do}` : "The server does not answer. Try again.";
    write($("login-problem"), error.status === 401 ? "This is not the token." : why);
    $("token").select();
    return;
  }
  $("token").value = "";
  write($("login-problem"), "");
  start();
});

async function start() {
  $("login").hidden = true;
  $("work").hidden = false;
  later();
  await session.start();
  about();
}

async function about() {
  const found = await request("GET", "v1/server").catch(() => null);
  if (!found) return;
  const { version, bundle, use } = found;
  write($("made-by"), `${use} Bundle ${bundle.name} ${bundle.version}, SHA-256 ${bundle.sha256}. spinelift ${version}.`);
}
start();
