export {
  AmbientLight, BufferAttribute, BufferGeometry, CatmullRomCurve3, Color, DirectionalLight, DoubleSide,
  Group, HemisphereLight, Line, LineBasicMaterial, LineSegments, Mesh, MeshBasicMaterial,
  MeshStandardMaterial, OrthographicCamera, PlaneGeometry, Scene, Sprite, SpriteMaterial, SRGBColorSpace,
  Texture, CanvasTexture, Vector3, WebGLRenderer
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
