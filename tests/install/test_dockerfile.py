"""The Dockerfile's steps without Docker: paths are moved into a folder, packages are those of this venv."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import pytest

ROOT = Path(__file__).parents[2]
DEMO = "src/spinelift/demo/1900003_20158_2_0.zip"
STEPS = [
    tuple(line.split(None, 1))
    for line in re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    if line.strip() and not line.startswith("#")
]
"""Instructions of the Dockerfile and their arguments, lines that go on joined."""
PREFIX = "/opt/spinelift"
OUTSIDE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def arguments(instruction):
    return [text for name, text in STEPS if name == instruction]


def copied():
    """Sources of every COPY from the checkout."""
    return [source for text in arguments("COPY") if "--from" not in text for source in text.split()[:-1]]


def test_sources_exist_and_are_sent_to_docker():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert [source for source in copied() if not any(fnmatch(source, pattern) for pattern in kept)] == []


def test_image_runs_as_somebody_and_keeps_no_secrets():
    user = arguments("USER")[-1]
    assert user.split(":")[0].isdigit()
    assert int(user.split(":")[0]) > 0
    assert arguments("ENTRYPOINT") == ['["spinelift"]']
    assert not re.search(
        r"https?://|--index-url|--extra-index-url|--trusted-host", (ROOT / "Dockerfile").read_text()
    )


@pytest.fixture(scope="module")
def image():
    """The prefix of the image, made by the RUN steps without network, readable by everybody."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: pip install 'spinelift[dev]'")
    folder = Path(mkdtemp(prefix="spinelift-image-"))
    folder.chmod(0o755)
    prefix, work = folder / "opt", folder / "build"
    work.mkdir()
    for source in copied():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, work / source)
    values = dict(text.split("=", 1) for text in arguments("ARG") if "=" in text)
    environment = {
        **os.environ, **values, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "false",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1", "PIP_IGNORE_INSTALLED": "1",
    }  # fmt: skip
    for step in arguments("RUN"):
        command = step.replace(PREFIX, str(prefix))
        subprocess.run(["bash", "-euc", command], cwd=work, env=environment, check=True, timeout=300)
        for site in prefix.glob("lib/python*/site-packages"):  # stands for what pip would download
            (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    yield prefix
    shutil.rmtree(folder)


@pytest.mark.slow
def test_wheel_is_installed_into_the_prefix(image):
    code = "import spinelift; print(spinelift.__file__)"
    command = [image / "bin" / "python", "-c", code]
    found = subprocess.run(command, env=OUTSIDE, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(image)


@pytest.mark.slow
def test_entry_point_predicts_for_a_user_without_rights(image):
    """As nobody, who may read all files and write to one folder alone; its home cannot be written."""
    out = image.parent / "results"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    home = image.parent / "home"
    home.mkdir(mode=0o555)
    (entry,) = re.findall(r'\["(.*)"\]', arguments("ENTRYPOINT")[-1])
    run = [image / "bin" / entry, "predict", ROOT / DEMO, "--out", out, "--no-pictures"]
    if os.getuid() == 0:
        read_all = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *read_all]
        if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], capture_output=True).returncode:
            pytest.skip("root, and setpriv cannot run a command as nobody")
        run = [*drop, *run]
    names = [text for line in arguments("ENV") for text in shlex.split(line)]
    environment = dict(pair.split("=", 1) for pair in names) | {"HOME": str(home)}
    environment["PATH"] = f"{image / 'bin'}:{os.environ['PATH']}"
    environment["MPLCONFIGDIR"] = str(out / "matplotlib")
    done = subprocess.run(run, cwd=home, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (out / "1900003_2_0" / "run.json").is_file()
    if os.getuid() == 0:
        assert (out / "1900003_2_0" / "run.json").stat().st_uid == 65534
    assert list(home.iterdir()) == []
