// Numbers and names as on report.html.

const MEASURES = [
  ["ferguson_deg", "Modified Ferguson angle", "front"],
  ["cobb_equivalent_deg", "Cobb-equivalent, tangents", "front"],
  ["kyphosis_deg", "Kyphosis T4–T12, tangents", "side"],
  ["lordosis_deg", "Lordosis L1–L5, tangents", "side"],
  ["coronal_offset_mm", "T1 over L5, to the left", "front"],
  ["sagittal_offset_mm", "T1 over L5, to posterior", "side"],
];
export const CLASSES = { none: "below 6°", "6-10": "6 to 10°", ">=10": "10° or more" };
export const ORDER = Object.keys(CLASSES);

// One decimal; of two that are equally near the even one, as Python does.
function decimal(number) {
  const isTie = Number.isInteger(number * 4) && !Number.isInteger(number * 2);
  const text = isTie ? (2 * Math.round(number * 5) / 10).toFixed(1) : number.toFixed(1);
  return text.replace("-", "−");
}

export const value = (measured, unit = "°") => `${decimal(measured.value)}${unit}`;

export function interval(measured, unit = "°") {
  if (!measured.interval90) return "";
  const [low, high] = measured.interval90;
  return `${decimal(low)} to ${decimal(high)}${unit}`;
}

// Rows of the table of measures from curves.json: name, value, 90 % interval, view.
export function measureRows({ measures, z_mm: z }) {
  const rows = MEASURES.map(([key, name, view]) => {
    const unit = key.endsWith("deg") ? "°" : " mm", measured = measures[key];
    return [name, value(measured, unit), interval(measured, unit), view];
  });
  return [...rows, ["Height T1 to L5", `${Math.round(z[z.length - 1] - z[0])} mm`, "", "front"]];
}

export const mainCurve = ({ measures, screening }) => measures.curves[screening.deciding_curve] ?? null;

export const curveText = (curve) =>
  curve ? `${curve.type}, convex ${curve.direction}, ${curve.upper_end} – ${curve.lower_end}, apex ${curve.apex}` : "none";

export function bytes(count) {
  if (count < 1e3) return `${count} bytes`;
  return count < 1e6 ? `${Math.round(count / 1e3)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
