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
_TOKEN = 20
"""Least characters of a token."""
_CONNECTIONS = 800
"""Most open connections."""
_STOP_S = 10
"""Seconds that open requests have when the server stops."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser, on a desktop.")] = True,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps jobs across restarts.", show_default="a temporary one"),
    ] = None,
    bundle: Bundle = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes, about 0.6 GB each; with --scheduler, jobs on it at a time.")
    ] = 2,
    scheduler: Scheduler = None,
    node: Annotated[
        Path | None, typer.Option(help="YAML file of a DICOM node to be as well (docs/deployment.md).")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must know, on its first line.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM), for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    hostname: Annotated[
        list[str] | None,
        typer.Option(help="Name of the server in addresses; can be given several times."),
    ] = None,
    proxy: Annotated[
        str | None, typer.Option(help="Address of a reverse proxy whose X-Forwarded headers are believed.")
    ] = None,
    keep_hours: Annotated[float, typer.Option(min=0.01, help="Hours that results are kept.")] = 24,
    max_queue: Annotated[int, typer.Option(min=1, help="Most scans that wait.")] = 1000,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Largest request.")] = 512,
    max_rate: Annotated[int, typer.Option(min=1, help="Most uploads a minute from one address.")] = 600,
    job_seconds: Annotated[float, typer.Option(min=1, help="Most time of a scan, in local processes.")] = 120,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log lines as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request.")] = False,
) -> None:
    """Serve a web page to drop scans on, and the same over HTTP.

    Without options, the page is for this machine alone, and everything is deleted when the server stops.

    [bold]Examples[/bold]

    On this machine, in a browser:
    [cyan]spinelift serve[/cyan]

    For a group, with jobs that survive a restart:
    [cyan]spinelift serve --host 0.0.0.0 --token-file token.txt --tls-cert cert.pem --tls-key key.pem --data
    /srv/spinelift[/cyan]

    With a DICOM node, which takes studies and sends results to an archive:
    [cyan]spinelift serve --node node.yaml --data /srv/spinelift[/cyan]

    With the workers of a Dask cluster, which must see the folder of --data at the same path:
    [cyan]spinelift serve --scheduler tcp://host:8786 --workers 16 --data /shared/spinelift[/cyan]
    """
    require_extra("serve")
    if scheduler:
        require_extra("cohort")
    token = _read_token(token_file) if token_file else None
    _check_token(host, proxy, token)
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("give --tls-cert and --tls-key, or none of them", param_hint="--tls-cert")
    if scheduler and data is None:
        raise ConfigError(
            found="--scheduler without --data",
            expected="a folder that the workers of the cluster see at the same path",
            do="Give --data with a folder on a shared file system.",
        )
    if node and data is None:
        raise ConfigError(
            found="--node without --data",
            expected="a folder that keeps images and results until the archive has them",
            do="Give --data with a folder on a disk of this machine.",
        )
    import uvicorn

    from spinelift.serve.app import create_app
    from spinelift.serve.folder import data_folder
    from spinelift.serve.logs import start_logging
    from spinelift.serve.node.config import NodeConfig
    from spinelift.serve.settings import Limits, Settings

    os.umask(0o077)
    start_logging(as_json=log_json, verbose=verbose)
    limits = Limits(
        upload_bytes=max_upload_mb << 20, queued=max_queue, per_minute=max_rate, keep_s=keep_hours * 3600,
        job_s=job_seconds,
    )  # fmt: skip
    with exit_code_of_signals(), data_folder(data) as folder, _listen(host, port) as listening:
        settings = Settings(
            data=folder, bundle=str(bundle.resolve()) if bundle else None, workers=workers,
            scheduler=scheduler, hostnames=(socket.gethostname(), host, *(hostname or ())), token=token,
            node=NodeConfig.load(node) if node else None, limits=limits,
        )  # fmt: skip
        application = create_app(settings)
        config = uvicorn.Config(
            application, log_config=None, access_log=False, server_header=False, ws="none",
            proxy_headers=proxy is not None, forwarded_allow_ips=proxy, ssl_certfile=tls_cert,
            ssl_keyfile=tls_key, timeout_graceful_shutdown=_STOP_S,
            limit_concurrency=_CONNECTIONS,
        )  # fmt: skip
        _load_certificate(config)
        server = uvicorn.Server(config)
        pool = application.state.server.pool
        pool.on_error = lambda: setattr(server, "should_exit", True)
        name = f"[{host}]" if ":" in host else host
        url = f"{'https' if tls_cert else 'http'}://{name}:{listening.getsockname()[1]}/"
        Console(highlight=False, soft_wrap=True).print(f"spinelift at {url} (Ctrl-C stops it)")
        sys.stdout.flush()
        if browser and _is_desktop() and _is_loopback(host):
            threading.Timer(0.5, webbrowser.open, [url]).start()
        server.run(sockets=[listening])
        if pool.error:
            raise pool.error


def _read_token(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    token = lines[0].strip() if lines else ""
    if len(token) < _TOKEN or not token.isascii() or " " in token:
        raise ConfigError(
            found=f"no token in {path.name}",
            expected=f"a text file whose first line has {_TOKEN} characters or more, without spaces",
            do="Write one: openssl rand -hex 32 > token.txt",
        )
    return token


def _check_token(host: str, proxy: str | None, token: str | None) -> None:
    if token is None and (proxy or not _is_loopback(host)):
        option = "--proxy" if proxy else f"--host {host}"
        raise ConfigError(
            found=f"{option}, by which other machines reach the server, without a token",
            expected="a token that clients must know, or a loopback address",
            do="Give --token-file, and --tls-cert with --tls-key unless a proxy does HTTPS.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=200)
    except (OSError, UnicodeError) as error:
        cause = os.strerror(getattr(error, "errno", 0) or 0)
        raise ConfigError(
            found=f"no way to listen at {host}, port {port} ({cause})",
            expected="an address of this machine, and a port that is free",
            do="Give another --port, or stop the program that uses it.",
        ) from None


def _load_certificate(config: object) -> None:
    try:
        config.load()  # type: ignore[attr-defined]
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            found=f"a certificate or key that cannot be used ({error.strerror or type(error).__name__})",
            expected="PEM files of a certificate chain and its key, not encrypted",
            do="Check --tls-cert and --tls-key.",
        ) from None


def _is_desktop() -> bool:
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
