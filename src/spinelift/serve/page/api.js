// Requests to the server. A refusal is a Problem; a server that cannot be reached is a Gone.

export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail || body.title || `The server's status was ${status}.`);
    this.status = status;
    this.error = {
      error: body.error || "Error",
      found: body.found || this.message,
      expected: body.expected || "",
      do: body.do || "",
    };
    this.retryAfter = retryAfter;
  }
}

export class Gone extends Error {}

const WAIT = [429, 503];
const parse = (text) => { try { return JSON.parse(text) ?? {}; } catch { return {}; } };
const seconds = (text) => Math.min(Math.max(Number(text) || 2, 1), 60);

function problem(status, text, retryAfter) {
  return new Problem(status, parse(text), WAIT.includes(status) ? seconds(retryAfter) : 0);
}

export async function request(method, url, body) {
  let reply, text;
  try {
    reply = await fetch(url, { method, body, headers: { Accept: "application/json" }, cache: "no-cache" });
    text = await reply.text();
  } catch {
    throw new Gone();
  }
  if (!reply.ok) throw problem(reply.status, text, reply.headers.get("Retry-After"));
  return parse(text);
}

// The problem of a file that was moved, changed or removed since it was chosen, or null.
async function unreadable(files) {
  for (const { file } of files) {
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      const body = { error: "UnreadableFileError", found: `${file.name}, which the browser cannot read`,
        expected: "a file that stays in its place until it is uploaded", do: "Choose it again." };
      return new Problem(0, body, 0);
    }
  }
  return null;
}

// Upload the files of one scan. `onProgress` gets the share that was sent; `signal` aborts.
export function upload({ files, spacing, area }, onProgress, signal) {
  const form = new FormData();
  for (const { file, name } of files) form.append("file", file, name);
  if (spacing) form.append("spacing", spacing);
  if (area) form.append("area", area);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", "v1/predictions");
    call.setRequestHeader("Accept", "application/json");
    call.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    call.onload = () => {
      if (call.status >= 200 && call.status < 300) resolve(parse(call.responseText));
      else reject(problem(call.status, call.responseText, call.getResponseHeader("Retry-After")));
    };
    call.onerror = async () => reject((await unreadable(files)) ?? new Gone());
    call.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}
