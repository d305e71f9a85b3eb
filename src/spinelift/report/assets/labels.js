// Everything that is written on the picture: letters of the directions, names of the levels, what the pointer is on;
// the saved picture; and the still picture of browsers without WebGL. Coordinates as in viewer.js.
"use strict";
const SpineLabels = (() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = (size, weight = 500) => `${weight} ${size}px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif`;
  const centre = (level) => [level.matrix[3], level.matrix[7], level.matrix[11]];

  function write(pen, text, x, y, size, colour, align = "center") {
    pen.font = font(size, 600);
    pen.textAlign = align;
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = style("--halo");
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  // Names beside the spine (side 1: to its right), in their order, moved apart where they would overlap.
  function levelNames(pen, places, size, side = 1) {
    const gap = size + 1, sorted = places.slice().sort((a, b) => a.y - b.y);
    const spread = sorted.length * gap;
    if (sorted[sorted.length - 1].y - sorted[0].y < spread * 0.8) return;
    for (let k = 1; k < sorted.length; k++) sorted[k].at = Math.max(sorted[k].y, sorted[k - 1].at + gap);
    for (const one of sorted) {
      pen.strokeStyle = style("--ring");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(one.edge, one.y);
      pen.lineTo(one.edge + side * 14, one.at);
      pen.stroke();
      write(pen, one.name, one.edge + side * 17, one.at, size, style("--ink"), side > 0 ? "left" : "right");
    }
  }

  function nearest(data, height) {
    return data.levels.reduce((best, level) => (Math.abs(level.matrix[7] - height) < Math.abs(best.matrix[7] - height) ? level : best));
  }

  function make(paper, pixels, data, project) {
    const pen = paper.getContext("2d"), tip = document.getElementById("tip"), { x, y, z } = data.reach;
    const letters = { L: [x, 0, 0], R: [-x, 0, 0], H: [0, y, 0], F: [0, -y, 0], A: [0, 0, z], P: [0, 0, -z] };
    let scale = 1, across = [1, 0, 0];
    const halfWidth = (row) => Math.hypot(data.ellipses[row][2] * across[0], data.ellipses[row][3] * across[2]) * scale;
    function rowAt(height) {
      const rows = data.ellipses.length, first = data.ellipses[0][4], last = data.ellipses[rows - 1][4];
      return Math.min(rows - 1, Math.max(0, Math.round(((first - height) / (first - last)) * (rows - 1))));
    }
    function draw(sight, newScale, withLevels, withVertebrae) {
      const level = Math.hypot(sight[0], sight[2]) || 1;
      scale = newScale;
      across = [sight[2] / level, 0, -sight[0] / level];
      pen.setTransform(pixels, 0, 0, pixels, 0, 0);
      pen.clearRect(0, 0, paper.clientWidth, paper.clientHeight);
      for (const [name, place] of Object.entries(letters)) {
        // A letter on the line of sight would stand on the spine: it fades.
        const along = Math.abs(place[0] * sight[0] + place[1] * sight[1] + place[2] * sight[2]) / Math.hypot(...place);
        const [px, py] = project(place);
        pen.globalAlpha = Math.min(1, Math.max(0, (0.96 - along) / 0.1));
        write(pen, name, px, py, 19, style("--ink"));
      }
      pen.globalAlpha = 1;
      if (!withLevels) return;
      // Arches and processes are behind: names stand in front of the spine in a side view.
      const behind = withVertebrae && across[2] < -0.3, side = behind ? -1 : 1;
      const reach = withVertebrae && !behind ? 2.4 : 1;
      const places = data.levels.map((one) => {
        const [px, py] = project(centre(one));
        return { name: one.name, y: py, at: py, edge: px + side * (reach * halfWidth(rowAt(one.matrix[7])) + 4) };
      });
      levelNames(pen, places, Math.min(17, Math.max(13, paper.clientHeight / 58)), side);
    }
    function hover(px, py) {
      let best = null;
      data.centreline.forEach((place, row) => {
        const [cx, cy, depth] = project(place);
        if (Math.abs(cx - px) < halfWidth(row) + 4 && Math.abs(cy - py) < 8) {
          const far = Math.abs(cy - py) + depth * 1e-3;
          if (!best || far < best.far) best = { row, far };
        }
      });
      tip.hidden = !best;
      if (!best) return;
      const place = data.centreline[best.row], half = data.depth_half && data.depth_half[best.row];
      const below = (data.ellipses[0][4] - place[1]).toFixed(0);
      tip.textContent = `${nearest(data, place[1]).name}\n${below} mm below the top of T1` + (half ? `\ndepth ± ${half.toFixed(0)} mm` : "");
      tip.style.left = `${Math.min(px + 16, paper.clientWidth - 190)}px`;
      tip.style.top = `${Math.min(py + 14, paper.clientHeight - 70)}px`;
    }
    return { draw, hover };
  }

  // The view with its labels and a caption, as a file.
  function save(canvas, paper) {
    const out = document.createElement("canvas"), strip = Math.round(canvas.width * 0.012) + 22;
    out.width = canvas.width;
    out.height = canvas.height + strip;
    const pen = out.getContext("2d");
    pen.fillStyle = style("--back");
    pen.fillRect(0, 0, out.width, out.height);
    pen.drawImage(canvas, 0, 0);
    pen.drawImage(paper, 0, 0, out.width, canvas.height);
    const title = document.querySelector("header p").textContent, use = document.querySelector("footer b").textContent;
    pen.textBaseline = "middle";
    pen.fillStyle = style("--ink");
    pen.font = font(Math.max(11, strip * 0.4));
    pen.fillText(`${title} · ${use}`, 12, out.height - strip / 2, out.width - 24);
    out.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = "spine_view.png";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  // Front and left view side by side, drawn without WebGL.
  function still(paper, data, image) {
    const width = paper.parentElement.clientWidth, height = paper.parentElement.clientHeight, pen = paper.getContext("2d");
    const ratio = Math.min(window.devicePixelRatio || 1, 2), { y } = data.reach;
    paper.width = width * ratio;
    paper.height = height * ratio;
    const scale = Math.min((height - 110) / (2 * y), width / (data.plane.size[0] + 260));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [wide, high] = data.plane.size, [mx, my] = data.plane.centre, top = (height - 40) / 2;
    const left = width / 2 - 130 * scale, right = width / 2 + (wide / 2) * scale + 20;
    pen.fillRect(left + (mx - wide / 2) * scale, top - (my + high / 2) * scale, wide * scale, high * scale);
    pen.drawImage(image, left + (mx - wide / 2) * scale, top - (my + high / 2) * scale, wide * scale, high * scale);
    for (const [across, axis, half, sign, side, other] of [[left, 0, 2, 1, "R", "L"], [right, 1, 3, -1, "A", "P"]]) {
      pen.beginPath();
      for (const side of [1, -1]) {
        const rows = side === 1 ? data.ellipses : data.ellipses.slice().reverse();
        rows.forEach((e) => pen.lineTo(across + (sign * e[axis] + side * e[half]) * scale, top - e[4] * scale));
      }
      pen.closePath();
      pen.fillStyle = "rgba(150, 200, 235, 0.55)";
      pen.fill();
      pen.strokeStyle = style("--ring");
      pen.lineWidth = 1;
      pen.stroke();
      pen.beginPath();
      data.centreline.forEach((p) => pen.lineTo(across + sign * (axis === 0 ? p[0] : p[2]) * scale, top - p[1] * scale));
      pen.strokeStyle = "#d55e00";
      pen.lineWidth = 2;
      pen.stroke();
      write(pen, side, across - 85 * scale, top - (y - 12) * scale, 17, style("--ink"));
      write(pen, other, across + 85 * scale, top - (y - 12) * scale, 17, style("--ink"));
      const places = data.levels.map((one) => {
        const [cx, cy, cz] = centre(one), px = across + sign * (axis === 0 ? cx : cz) * scale;
        return { name: one.name, y: top - cy * scale, at: top - cy * scale, edge: px + 22 * scale };
      });
      levelNames(pen, places, 12);
    }
  }

  return { make, save, still };
})();
