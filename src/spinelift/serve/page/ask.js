// The dialog that asks for the pixel size of pictures.
import { $, given, make, write } from "./dom.js";
import { plural } from "./words.js";

const LEAST_MM = 0.2, MOST_MM = 10, MOST_ASPECT = 2;  // As spinelift.io.spacing.

// "row,column" of two texts, or null; "2,4" is read as 2.4.
export function spacing(row, column) {
  const sizes = [row, column].map((text) => (/^\s*\d*[.,]?\d+\s*$/.test(text) ? Number(text.replace(",", ".")) : NaN));
  const isGood = sizes.every((mm) => mm >= LEAST_MM && mm <= MOST_MM);
  const aspect = sizes[0] / sizes[1];
  return isGood && aspect <= MOST_ASPECT && aspect >= 1 / MOST_ASPECT ? sizes.join(",") : null;
}

// Ask for the pictures, for all at a time or one after the other; returns those that are to be sent.
export async function askSpacing(pictures) {
  const sent = [];
  for (let rest = pictures; rest.length;) {
    const reply = await ask(rest);
    const those = reply.all ? rest : rest.slice(0, 1);
    if (reply.spacing) sent.push(...those.map((scan) => ({ ...scan, spacing: reply.spacing })));
    rest = rest.slice(those.length);
  }
  return sent;
}

function ask(pictures) {
  const dialog = $("ask"), form = dialog.querySelector("form"), [row, column] = [$("row-mm"), $("col-mm")];
  const many = pictures.length > 1;
  write($("ask-about"), many
    ? `A picture does not state the size of its pixels. ${plural(pictures.length, "picture")}:`
    : "A picture does not state the size of its pixels:");
  $("ask-names").replaceChildren(...pictures.map(({ name }) => make("li", {}, given(name))));
  $("ask-each").hidden = !many;
  $("ask-all").checked = true;
  const complain = (text) => {
    write($("ask-problem"), text);
    for (const input of [row, column]) input.setAttribute("aria-invalid", String(Boolean(text)));
  };
  complain("");
  return new Promise((resolve) => {
    const done = (found) => {
      dialog.onclose = null;
      dialog.close();
      resolve({ spacing: found, all: !many || $("ask-all").checked });
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      const found = spacing(row.value, column.value);
      if (found) return done(found);
      complain(`Give two numbers from ${LEAST_MM} to ${MOST_MM} mm, neither more than twice the other.`);
      row.focus();
    };
    $("ask-skip").onclick = () => done(null);
    dialog.onclose = () => { if (!dialog.open) done(null); };  // The Escape key.
    dialog.showModal();
    row.focus();
  });
}
