// The 3D page. Scene axes, mm: x to the patient's left, y to the head, z to anterior (right-handed);
// the origin is the middle of the spine. The camera has no perspective, so that distances stay true
// and the spine lies exactly on the scan in the front view.
"use strict";
(() => {
  const root = document.documentElement;
  const fail = (message) => {
    const box = document.getElementById("problem");
    box.textContent = message;
    box.hidden = false;
    root.dataset.state = "error: " + message;
  };
  window.addEventListener("error", (event) => fail(String(event.message)));
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("view");
  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
  } catch (error) {
    fail("This browser cannot show 3D (WebGL is off).");
    return;
  }
  renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));

  const scene = new THREE.Scene();
  const camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 1, 5000);
  camera.add(light(0xffffff, 2.1, [-350, 450, 600]), light(0xbfd4ff, 0.7, [500, -150, 300]));
  scene.add(camera, new THREE.HemisphereLight(0xffffff, 0x39424f, 1.15));
  function light(colour, strength, place) {
    const lamp = new THREE.DirectionalLight(colour, strength);
    lamp.position.set(...place);
    return lamp;
  }

  const layers = { tube: tube(), line: line(data.centreline, 0xff7a45, 1), plausible: plausible(), scan: scanPlane() };
  const marks = letters();
  scene.add(...Object.values(layers), marks);

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
      const [x, z, , , y] = data.ellipses[row];
      const centre = place.length / 3;
      place.push(x, y, z);
      colour.push(...colour.slice(row * segments * 3, row * segments * 3 + 3));
      for (let k = 0; k < segments; k++) {
        const p = row * segments + k, q = row * segments + ((k + 1) % segments);
        index.push(centre, ...(row === 0 ? [q, p] : [p, q]));
      }
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(place), 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(colour), 3));
    geometry.setIndex(index);
    geometry.computeVertexNormals();
    const material = new THREE.MeshStandardMaterial({
      vertexColors: true, roughness: 0.5, metalness: 0.02, side: THREE.DoubleSide, transparent: true, opacity: 0.94,
    });
    return new THREE.Mesh(geometry, material);
  }

  function line(points, colour, opacity) {
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
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(place), 3));
    geometry.setIndex(index);
    const material = new THREE.MeshBasicMaterial({ color: colour, transparent: true, opacity, depthTest: false });
    const mesh = new THREE.Mesh(geometry, material);
    mesh.renderOrder = 3;
    return mesh;
  }

  function plausible() {
    const group = new THREE.Group();
    for (const points of data.plausible) {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(points.flat()), 3));
      const material = new THREE.LineBasicMaterial({ color: 0xffffff, transparent: true, opacity: 0.3, depthTest: false });
      const thread = new THREE.Line(geometry, material);
      thread.renderOrder = 2;
      group.add(thread);
    }
    return group;
  }

  function scanPlane() {
    const [width, height] = data.plane.size;
    const texture = new THREE.Texture();
    texture.colorSpace = THREE.SRGBColorSpace;
    const image = new Image();
    image.onload = () => { texture.image = image; texture.needsUpdate = true; ready(); };
    image.onerror = () => fail("The picture of the scan cannot be read.");
    image.src = data.plane.image;
    const material = new THREE.MeshBasicMaterial({
      map: texture, side: THREE.DoubleSide, transparent: true, opacity: 0.85, depthWrite: false,
    });
    const plane = new THREE.Mesh(new THREE.PlaneGeometry(width, height), material);
    plane.position.set(...data.plane.centre);
    plane.renderOrder = -1;
    return plane;
  }

  function letters() {
    const group = new THREE.Group();
    const { x, y, z } = data.reach;
    const places = { L: [x, 0, 0], R: [-x, 0, 0], H: [0, y, 0], F: [0, -y, 0], A: [0, 0, z], P: [0, 0, -z] };
    for (const [name, place] of Object.entries(places)) {
      const paper = document.createElement("canvas");
      paper.width = paper.height = 96;
      const pen = paper.getContext("2d");
      pen.font = "600 60px system-ui, Arial, sans-serif";
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.lineWidth = 10;
      pen.strokeStyle = "#0b1018";
      pen.fillStyle = "#cfd9e6";
      pen.strokeText(name, 48, 50);
      pen.fillText(name, 48, 50);
      const texture = new THREE.CanvasTexture(paper);
      texture.colorSpace = THREE.SRGBColorSpace;
      const mark = new THREE.Sprite(new THREE.SpriteMaterial({ map: texture, depthTest: false }));
      mark.position.set(...place);
      mark.scale.setScalar(30);
      mark.renderOrder = 5;
      group.add(mark);
    }
    return group;
  }

  const controls = new THREE.OrbitControls(camera, canvas);
  controls.enableDamping = true;
  controls.dampingFactor = 0.12;
  controls.minZoom = 0.5;
  controls.maxZoom = 12;
  const VIEWS = { front: [0, 0, 1], back: [0, 0, -1], left: [1, 0, 0], right: [-1, 0, 0], top: [0, 1, 0.0001], start: [-0.55, 0.16, 1] };
  const buttons = document.querySelectorAll("button[data-view]");
  function look(name) {
    camera.position.set(...VIEWS[name]).normalize().multiplyScalar(2000);
    camera.zoom = name === "top" ? 2.4 : 1;
    controls.target.set(0, 0, 0);
    camera.updateProjectionMatrix();
    controls.update();
    buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.view === name)));
  }
  buttons.forEach((b) => b.addEventListener("click", () => { turn.checked = controls.autoRotate = false; look(b.dataset.view); }));
  controls.addEventListener("start", () => buttons.forEach((b) => b.setAttribute("aria-pressed", "false")));
  const turn = document.querySelector("[data-layer=turn]");
  document.querySelectorAll("[data-layer]").forEach((box) =>
    box.addEventListener("change", () => {
      if (box === turn) controls.autoRotate = box.checked;
      else layers[box.dataset.layer].visible = box.checked;
    }));

  function resize() {
    const { clientWidth: width, clientHeight: height } = root;
    renderer.setSize(width, height, false);
    const half = Math.max(data.reach.y + 62, (data.reach.x + 40) * height / width);
    camera.top = half;
    camera.bottom = -half;
    camera.left = (-half * width) / height;
    camera.right = (half * width) / height;
    camera.updateProjectionMatrix();
  }
  window.addEventListener("resize", resize);
  const bar = document.querySelector("#bar i");
  const sight = new THREE.Vector3();
  function draw() {
    controls.update();
    sight.copy(camera.position).sub(controls.target).normalize();
    for (const mark of marks.children) {
      // A letter on the line of sight would stand on the spine: it fades.
      const along = Math.abs(mark.position.dot(sight)) / mark.position.length();
      mark.material.opacity = Math.min(1, Math.max(0, (0.96 - along) / 0.1));
    }
    renderer.render(scene, camera);
    bar.style.width = `${(100 * camera.zoom * root.clientHeight) / (camera.top - camera.bottom)}px`;
  }
  function ready() {
    draw();
    root.dataset.state = "ready";
  }
  resize();
  look(VIEWS[location.hash.slice(1)] ? location.hash.slice(1) : "start");
  renderer.setAnimationLoop(draw);
})();
