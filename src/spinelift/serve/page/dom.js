// Elements. Text is always set as text: no string of this page is ever parsed as HTML.

export const $ = (id) => document.getElementById(id);

// An element with properties, data-* and aria-* attributes, and children; strings become text, null is left out.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return element;
}

// A name that somebody else chose: kept apart from the direction of the text around it.
export const given = (name) => make("bdi", {}, name);

// Set a text only if it is another one, so that screen readers do not read it again.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Messages for screen readers. Many at a time are shortened to their number.
const waiting = [];
export function say(text) {
  waiting.push(text);
  if (waiting.length > 1) return;
  setTimeout(() => {
    const texts = waiting.splice(0), shown = texts.slice(-2).join(" ");
    write($("status"), texts.length > 2 ? `${texts.length} changes. ${shown}` : shown);
  }, 400);
}
