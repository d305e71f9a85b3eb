// The 3D page: scene, camera and controls. Scene axes, mm: x to the patient's left, y to the head, z to anterior
// (right-handed); the origin is the middle of the spine. The camera has no perspective, so that distances stay true
// and the spine lies exactly on the scan in the front view.
"use strict";
(() => {
  const root = document.documentElement, $ = (query) => document.querySelector(query);
  const fail = (message) => {
    $("#problem").textContent = message;
    $("#problem").hidden = false;
    root.dataset.state = "error: " + message;
  };
  window.addEventListener("error", (event) => fail(String(event.message)));
  const data = JSON.parse($("#data").textContent);
  const canvas = $("#view"), paper = $("#labels");
  const film = new THREE.Mesh(new THREE.PlaneGeometry(...data.plane.size), new THREE.MeshBasicMaterial({
    color: 0x000000, side: THREE.DoubleSide, transparent: true, opacity: 0.92, depthWrite: false }));
  let stale = true;  // The picture is drawn again only after a change.
  const theme = (name) => {
    stale = true;
    root.dataset.theme = name;
    film.visible = name === "light";  // Grey values that are transparent on black would be white on paper.
  };
  // After # in the address: a view, a theme, "vertebrae", "turn"; a page that embeds this one changes the theme so.
  const asked = () => location.hash.slice(1).split(",");
  const askedTheme = () => asked().find((name) => name === "light" || name === "dark");
  theme(askedTheme() || (window.matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
  window.addEventListener("hashchange", () => theme(askedTheme() || root.dataset.theme));
  if (window.matchMedia("(max-width: 720px)").matches) $("details").open = false;

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
  } catch (error) {
    canvas.hidden = true;
    for (const part of document.querySelectorAll("nav, details, #bar, .keys")) part.hidden = true;
    fail("This browser cannot show 3D (WebGL is off). Still picture: front and left side.");
    const image = new Image(), still = () => SpineLabels.still(paper, data, image);
    image.onload = () => { still(); window.addEventListener("resize", still); };
    image.src = data.plane.image;
    return;
  }
  const pixels = Math.min(window.devicePixelRatio || 1, 2);
  renderer.setPixelRatio(pixels);
  const scene = new THREE.Scene();
  const camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 1, 5000);
  camera.add(light(0xffffff, 2.1, [-350, 450, 600]), light(0xbfd4ff, 0.7, [500, -150, 300]));
  scene.add(camera, new THREE.HemisphereLight(0xffffff, 0x39424f, 1.15));
  function light(colour, strength, place) {
    const lamp = new THREE.DirectionalLight(colour, strength);
    lamp.position.set(...place);
    return lamp;
  }

  const layers = {
    tube: tube(), line: line(data.centreline, 0xff7a45), levels: placed(() => "ring", 0x2b7bbb),
    vertebrae: placed((level) => level.shape, 0xe6dcc4), plausible: plausible(), scan: scanPlane(),
  };
  scene.add(...Object.values(layers));

  function solid(position, index, material) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(position), 3));
    geometry.setIndex(index);
    geometry.computeVertexNormals();
    return new THREE.Mesh(geometry, material);
  }

  function tube() {
    const segments = 48, rows = data.ellipses.length;
    const place = [], colour = [], index = [];
    data.ellipses.forEach(([x, z, a, b, y], row) => {
      const tint = new THREE.Color().setRGB(...data.colours[row].map((v) => v / 255), THREE.SRGBColorSpace);
      for (let k = 0; k < segments; k++) {
        const angle = (2 * Math.PI * k) / segments;
        place.push(x + a * Math.cos(angle), y, z + b * Math.sin(angle));
        colour.push(tint.r, tint.g, tint.b);
        if (row + 1 < rows) {
          const p = row * segments + k, q = row * segments + ((k + 1) % segments);
          index.push(p, q, p + segments, q, q + segments, p + segments);
        }
      }
    });
    for (const row of [0, rows - 1]) {
      const [x, z, , , y] = data.ellipses[row], centre = place.length / 3;
      place.push(x, y, z);
      colour.push(...colour.slice(row * segments * 3, row * segments * 3 + 3));
      for (let k = 0; k < segments; k++) {
        const p = row * segments + k, q = row * segments + ((k + 1) % segments);
        index.push(centre, ...(row === 0 ? [q, p] : [p, q]));
      }
    }
    const material = new THREE.MeshStandardMaterial({ vertexColors: true, roughness: 0.5, metalness: 0.02, transparent: true });
    const mesh = solid(place, index, material);
    mesh.geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(colour), 3));
    return mesh;
  }

  function line(points, colour) {
    // A thin tube rather than a GL line, which is one pixel wide on most machines.
    const sides = 8, radius = 1.6, place = [], index = [];
    points.forEach(([x, y, z], row) => {
      for (let k = 0; k < sides; k++) {
        const angle = (2 * Math.PI * k) / sides;
        place.push(x + radius * Math.cos(angle), y, z + radius * Math.sin(angle));
        if (row + 1 < points.length) {
          const p = row * sides + k, q = row * sides + ((k + 1) % sides);
          index.push(p, q, p + sides, q, q + sides, p + sides);
        }
      }
    });
    const mesh = solid(place, index, new THREE.MeshBasicMaterial({ color: colour, transparent: true, depthTest: false }));
    mesh.renderOrder = 3;
    return mesh;
  }

  function placed(shapeOf, colour) {
    const group = new THREE.Group(), geometries = {};
    const material = new THREE.MeshStandardMaterial({ color: colour, roughness: 0.65, metalness: 0 });
    for (const level of data.levels) {
      const name = shapeOf(level), { position, index } = data.shapes[name];
      geometries[name] ??= solid(position, index, material).geometry;
      const mesh = new THREE.Mesh(geometries[name], material);
      mesh.matrixAutoUpdate = false;
      mesh.matrix.set(...level.matrix);
      group.add(mesh);
    }
    return group;
  }

  function plausible() {
    const group = new THREE.Group();
    for (const points of data.plausible) {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(points.flat()), 3));
      const thread = new THREE.Line(geometry, new THREE.LineBasicMaterial({ color: 0xb9c6d6, transparent: true, opacity: 0.5, depthTest: false }));
      thread.renderOrder = 2;
      group.add(thread);
    }
    return group;
  }

  function scanPlane() {
    const texture = new THREE.Texture();
    texture.colorSpace = THREE.SRGBColorSpace;
    const image = new Image();
    image.onload = () => { texture.image = image; texture.needsUpdate = true; ready(); };
    image.onerror = () => fail("The picture of the scan cannot be read.");
    image.src = data.plane.image;
    const material = new THREE.MeshBasicMaterial({ map: texture, side: THREE.DoubleSide, transparent: true, opacity: 0.9, depthWrite: false });
    const plane = new THREE.Mesh(new THREE.PlaneGeometry(...data.plane.size), material);
    plane.position.set(...data.plane.centre);
    plane.renderOrder = -1;
    film.renderOrder = -2;
    plane.add(film);
    return plane;
  }

  const controls = new THREE.OrbitControls(camera, paper);
  controls.enableDamping = true;
  controls.dampingFactor = 0.12;
  controls.minZoom = 0.5;
  controls.maxZoom = 12;
  const VIEWS = { front: [0, 0, 1], left: [1, 0, 0], right: [-1, 0, 0], back: [0, 0, -1], top: [0, 1, 0.0001] };
  const boxes = Object.fromEntries([...document.querySelectorAll("[data-layer]")].map((box) => [box.dataset.layer, box]));
  const pressed = (name) => document.querySelectorAll("[data-view]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.view === name)));
  function look(name) {
    camera.position.set(...VIEWS[name]).normalize().multiplyScalar(2000);
    camera.zoom = name === "top" ? 2.4 : 1;
    stale = true;
    controls.target.set(0, 0, 0);
    camera.updateProjectionMatrix();
    boxes.turn.checked = controls.autoRotate = false;
    controls.update();
    pressed(name);
  }
  function show() {
    stale = true;
    for (const [name, box] of Object.entries(boxes)) if (name !== "turn") layers[name].visible = box.checked;
    layers.plausible.visible = Boolean(boxes.plausible?.checked);
    layers.tube.material.opacity = boxes.vertebrae.checked ? 0.3 : 0.86;
    layers.tube.material.depthWrite = !boxes.vertebrae.checked;
    layers.tube.renderOrder = boxes.vertebrae.checked ? 1 : 0;
    $("#schematic").hidden = !boxes.vertebrae.checked;
    controls.autoRotate = boxes.turn.checked;
    if (boxes.turn.checked) pressed("");
  }
  function turnBy(across, up) {
    const { x, y, z } = camera.position, away = Math.hypot(x, y, z);
    const azimuth = Math.atan2(x, z) + across;
    const height = Math.min(1.55, Math.max(-1.55, Math.asin(y / away) + up));
    camera.position.set(Math.sin(azimuth) * Math.cos(height), Math.sin(height), Math.cos(azimuth) * Math.cos(height)).multiplyScalar(away);
    pressed("");
  }
  function zoomBy(factor) {
    stale = true;
    camera.zoom = Math.min(controls.maxZoom, Math.max(controls.minZoom, camera.zoom * factor));
    camera.updateProjectionMatrix();
  }
  const toggle = (name) => { boxes[name].checked = !boxes[name].checked; show(); };
  const DO = {
    reset: () => { for (const box of Object.values(boxes)) box.checked = box.defaultChecked; show(); look("front"); },
    theme: () => theme(root.dataset.theme === "dark" ? "light" : "dark"),
    picture: () => { draw(); SpineLabels.save(canvas, paper); },
  };
  const KEYS = {
    ArrowLeft: () => turnBy(-0.1, 0), ArrowRight: () => turnBy(0.1, 0), ArrowUp: () => turnBy(0, 0.1), ArrowDown: () => turnBy(0, -0.1),
    "+": () => zoomBy(1.15), "=": () => zoomBy(1.15), "-": () => zoomBy(1 / 1.15), 0: DO.reset, Home: DO.reset,
    v: () => toggle("vertebrae"), d: DO.theme, p: DO.picture,
  };
  Object.keys(VIEWS).forEach((name, k) => { KEYS[k + 1] = () => look(name); });
  window.addEventListener("keydown", (event) => {
    const key = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!key || event.ctrlKey || event.metaKey || event.altKey) return;
    key();
    event.preventDefault();
  });
  document.querySelectorAll("[data-view]").forEach((b) => b.addEventListener("click", () => look(b.dataset.view)));
  document.querySelectorAll("[data-do]").forEach((b) => b.addEventListener("click", DO[b.dataset.do]));
  Object.values(boxes).forEach((box) => box.addEventListener("change", show));
  controls.addEventListener("start", () => pressed(""));
  controls.addEventListener("change", () => { stale = true; });

  function resize() {
    stale = true;
    const { clientWidth: width, clientHeight: height } = paper.parentElement;
    renderer.setSize(width, height, false);
    paper.width = width * pixels;
    paper.height = height * pixels;
    const half = Math.max(data.reach.y + 22, ((data.reach.x + 30) * height) / width);
    camera.top = half;
    camera.bottom = -half;
    camera.left = (-half * width) / height;
    camera.right = (half * width) / height;
    camera.updateProjectionMatrix();
  }
  window.addEventListener("resize", resize);
  const point = new THREE.Vector3();
  const labels = SpineLabels.make(paper, pixels, data, (place) => {
    // Pixels from the upper left corner, and distance from the camera.
    point.set(...place).project(camera);
    return [((point.x + 1) / 2) * paper.clientWidth, ((1 - point.y) / 2) * paper.clientHeight, point.z];
  });
  paper.addEventListener("pointermove", (event) => labels.hover(event.offsetX, event.offsetY));
  paper.addEventListener("pointerleave", () => labels.hover(NaN, NaN));
  const sight = new THREE.Vector3();
  const SLOWEST_S = 0.5;
  let drawn = performance.now();
  function draw(now = drawn) {
    controls.update(Math.min((now - drawn) / 1000, SLOWEST_S));  // The same speed of turning on every machine.
    drawn = now;
    if (!stale) return;
    stale = false;
    renderer.render(scene, camera);
    const scale = (camera.zoom * paper.clientHeight) / (camera.top - camera.bottom);
    sight.copy(camera.position).sub(controls.target).normalize();
    labels.draw([sight.x, sight.y, sight.z], scale, boxes.levels.checked, boxes.vertebrae.checked);
    $("#bar i").style.width = `${100 * scale}px`;
  }
  function ready() {
    resize();
    draw();
    stale = true;  // The texture may reach the graphics card in the next frame only.
    root.dataset.state = "ready";
  }
  show();
  resize();
  look(asked().find((name) => VIEWS[name]) || "front");
  if (asked().includes("vertebrae")) toggle("vertebrae");
  if (asked().includes("turn") && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) toggle("turn");
  renderer.setAnimationLoop(draw);
})();
