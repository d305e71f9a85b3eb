"""The pictures of docs/outputs.md, of an output folder with the demo's scan and others. Needs chromium.

spinelift simulate dxa --people 7 --seed 7 --out runs/people
spinelift predict src/spinelift/demo/1900003_20158_2_0.zip runs/people/dxa --save-mask -o runs/outputs
spinelift report runs/outputs
python tests/docs/output_pictures.py runs/outputs
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DEMO = "1900003_2_0"
MAX_BYTES = 150_000


def browser_picture(page: Path, size: tuple[int, int]) -> Image.Image:
    """A page as chromium shows it."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        command = [
            chromium, "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/profile",
            "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
            "--virtual-time-budget=20000",
            f"--window-size={size[0]},{size[1]}", f"--screenshot={shot}", page.resolve().as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return Image.open(shot).convert("RGB")


def write(name: str, picture: Image.Image, width: int) -> None:
    """A small PNG, in fewer colours where it would be too large."""
    picture = picture.convert("RGB")
    if picture.width > width:
        picture = picture.resize(
            (width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS
        )
    for colours in (256, 128, 64, 32):
        picture.quantize(colours, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)
        if (IMAGES / name).stat().st_size < MAX_BYTES:
            return
    raise ValueError(f"{name} is too large")


def main(out: Path) -> None:
    result = out / DEMO
    write("report.png", browser_picture(result / "report.html", (900, 1110)), 900)
    write("viewer.png", browser_picture(result / "spine.html", (1000, 760)), 800)
    write("contact.png", Image.open(out / "contact.png"), 850)
    write("overlay.png", Image.open(result / "overlay.png"), 760)
    with Image.open(result / "spine.gif") as gif:
        views = []
        for share in (0, 0.125, 0.25, 0.5):
            gif.seek(round(share * gif.n_frames))
            views.append(gif.convert("RGB"))
    strip = Image.new("RGB", (sum(view.width for view in views), views[0].height))
    for k, view in enumerate(views):
        strip.paste(view, (k * view.width, 0))
    write("turning.png", strip, 800)
    mask = Image.open(result / "mask.png")
    write("mask.png", mask, 160)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
