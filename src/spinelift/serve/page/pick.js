// From dropped or chosen files to scans, by the rule of the command line: a file is a scan; in a folder, and in
// those below it, each zip and each picture is a scan, and the DICOM files directly in one folder are one together.

const PICTURE = "picture", DICOM = "dicom", ZIP = "zip";
const SUFFIXES = { zip: ZIP, dcm: DICOM, dicom: DICOM, png: PICTURE, tif: PICTURE, tiff: PICTURE };
const DXA_FIELD = "20158";

async function kindOf(file) {
  let head = new Uint8Array();
  try { head = new Uint8Array(await file.slice(0, 132).arrayBuffer()); } catch { /* the upload will fail and say so */ }
  const text = String.fromCharCode(...head);
  if (text.slice(128) === "DICM") return DICOM;
  if (/^PK(\x03\x04|\x05\x06)/.test(text)) return ZIP;
  if (/^(\x89PNG|II\*\0|MM\0\*)/.test(text)) return PICTURE;
  if (/^[\x02\x08]\0/.test(text)) return DICOM;
  return SUFFIXES[file.name.toLowerCase().split(".").pop()] ?? null;
}

const scan = (name, files, isPicture) => ({ name, files, isPicture });
const single = (file, kind) => scan(file.name, [{ file, name: file.name }], kind === PICTURE);

// Files of a drop, read before the event ends: afterwards the browser takes them away.
export function dropped(transfer) {
  const files = [], folders = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    if (entry?.isDirectory) folders.push(entry);
    else files.push(item.getAsFile());
  }
  return { files: files.filter(Boolean), folders };
}

// { scans, passed } of files and folder entries; `passed` counts files in folders that are no scans.
export async function scansOf({ files, folders }) {
  const scans = await Promise.all(files.map(async (file) => single(file, await kindOf(file))));
  const inside = [];
  for (const folder of folders) await walk(folder, inside);
  const { scans: more, passed } = await inFolders(inside);
  return { scans: [...scans, ...more], passed };
}

// The same of a chosen folder, whose files have their path in webkitRelativePath.
export function chosenFolder(files) {
  return inFolders([...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
}

async function inFolders(found) {
  const folders = new Map();
  for (const { file, path } of found) {
    const folder = path.slice(0, -file.name.length - 1);
    if (path.split("/").some((part) => part.startsWith("."))) continue;
    if (!folders.has(folder)) folders.set(folder, []);
    folders.get(folder).push(file);
  }
  const scans = [];
  let passed = 0;
  for (const folder of [...folders.keys()].sort()) {
    const inside = folders.get(folder).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (inside.some((file) => file.name === "curves.json")) {  // An earlier result.
      passed += inside.length;
      continue;
    }
    const dicoms = [];
    for (const file of inside) {
      const kind = await kindOf(file), field = /^\d+_(\d+)_\d+_\d+\.zip$/.exec(file.name)?.[1];
      if (kind === DICOM) dicoms.push(file);
      else if (kind === null || (field && field !== DXA_FIELD)) passed += 1;
      else scans.push(single(file, kind));
    }
    const name = folder.split("/").pop();
    if (dicoms.length === 1) scans.push(single(dicoms[0], DICOM));
    if (dicoms.length > 1) scans.push(scan(name, dicoms.map((file) => ({ file, name: `${name}/${file.name}` })), false));
  }
  return { scans, passed };
}

async function walk(folder, found) {
  const reader = folder.createReader(), read = () => new Promise((good, bad) => reader.readEntries(good, bad));
  for (let entries = await read(); entries.length; entries = await read()) {
    for (const entry of entries) {
      if (entry.isDirectory) await walk(entry, found);
      else found.push({ file: await new Promise((good, bad) => entry.file(good, bad)), path: entry.fullPath.slice(1) });
    }
  }
}
