"""``spinelift serve``: web page, HTTP interface and DICOM node."""

import os
import socket
import sys
import threading
import webbrowser
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from spinelift.cli.options import Bundle, Scheduler, exit_code_of_signals, require_extra
from spinelift.errors import ConfigError

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser, on a desktop.")] = True,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps jobs across restarts.", show_default="a temporary one, deleted at exit"
        ),
    ] = None,
    bundle: Bundle = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, about 0.6 GB each.")] = 2,
    scheduler: Scheduler = None,
) -> None:
    """Serve a web page to drop scans on, and the same by HTTP."""
    require_extra("serve")
    import uvicorn

    from spinelift.serve.app import create_app
    from spinelift.serve.folder import data_folder
    from spinelift.serve.settings import Settings

    os.umask(0o077)
    with exit_code_of_signals(), data_folder(data) as folder, _listen(host, port) as listening:
        settings = Settings(
            data=folder,
            bundle=str(bundle.resolve()) if bundle else None,
            workers=workers,
            scheduler=scheduler,
        )
        application = create_app(settings)
        port = listening.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}/"
        Console(highlight=False, soft_wrap=True).print(f"spinelift at {url} (Ctrl-C stops it)")
        sys.stdout.flush()
        if browser and _is_desktop() and ip_address(host).is_loopback:
            threading.Timer(0.5, webbrowser.open, [url]).start()
        config = uvicorn.Config(
            application, access_log=False, log_level="warning", proxy_headers=False, server_header=False,
            timeout_graceful_shutdown=10,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=100)
    except OSError as error:
        raise ConfigError(
            found=f"no way to listen at {host}, port {port} ({error.strerror or error})",
            expected="an address of this machine, and a port that is free",
            do="Give another --port, or stop the program that uses it.",
        ) from None


def _is_desktop() -> bool:
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
