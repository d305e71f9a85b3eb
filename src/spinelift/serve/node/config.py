"""Typed configuration of the DICOM node: who may send, where results go, limits and times."""

import ssl
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, field_validator, model_validator

from spinelift.config import Config
from spinelift.errors import ConfigError
from spinelift.io.inputs import MAX_IMAGE_BYTES
from spinelift.report import PDF, SC, SEG, SR, STL_DICOM

AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""1 to 16 printable ASCII characters without a backslash and without spaces at the ends (PS3.5, 6.2)."""
Port = Annotated[int, Field(ge=1, le=65535)]
Kind = Literal["sr", "seg", "sc", "pdf", "stl"]
FILES: dict[Kind, str] = {"sr": SR, "seg": SEG, "sc": SC, "pdf": PDF, "stl": STL_DICOM}
"""File of a result by its kind, in the order of sending."""


class Tls(Config):
    """TLS: files in PEM format. ``ca``: who signs the other side's certificate; None: the system's list.

    ``certificate`` and ``key`` are our own. With ``ca``, a server asks its clients for a certificate too.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Settings of a connection; a :class:`ConfigError` names what cannot be read."""
        if server and self.certificate is None:
            do = "Give `certificate` and `key` of `tls`."
            raise ConfigError(found="TLS without a certificate", expected="a certificate and its key", do=do)
        purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
        try:
            context = ssl.create_default_context(purpose, cafile=self.ca)
            if server and self.ca:
                context.verify_mode = ssl.CERT_REQUIRED
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            names = ", ".join(path.name for path in (self.certificate, self.key, self.ca) if path)
            raise ConfigError(
                found=f"TLS files of no use: {names} ({getattr(error, 'reason', None) or 'not read'})",
                expected="certificates and a key without a password, in PEM format",
                do="Check the paths and the format of `tls`.",
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _no_password() -> str:
    raise ValueError("a key with a password")


class Peer(Config):
    """A DICOM application that may send images: its AE title, and the addresses that it has.

    ``addresses``: IPv4 or IPv6 addresses, or networks such as ``192.0.2.0/24``.
    """

    ae_title: AeTitle
    addresses: list[IPv4Network | IPv6Network] = Field(min_length=1)

    def has(self, address: str) -> bool:
        """Whether an address is one of the peer's; IPv4 addresses may be written as IPv6 ones."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self.addresses)


class DicomArchive(Config):
    """An archive that takes results by C-STORE.

    ``storage_commitment``: results are deleted after the archive has also reported that it keeps them
    (PS3.4, annex J). The report comes within ``commitment_seconds``; else the results are sent again.
    """

    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    tls: Tls | None = None
    storage_commitment: bool = False
    commitment_seconds: PositiveFloat = 600


class WebArchive(Config):
    """An archive that takes results by STOW-RS: the URL of its studies, such as ``https://…/dicom-web/studies``.

    ``token_file``: a file with the token that is sent as ``Authorization: Bearer``.
    """

    stow_url: str
    token_file: Path | None = None
    tls: Tls | None = None

    @field_validator("stow_url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("it must be an http or https URL without a user and a query")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_secret(self) -> Self:
        if self.token_file and not self.stow_url.startswith("https:"):
            raise ValueError("a token is sent by https alone")
        return self


def _protocol(archive: Any) -> str:
    """Which of the two forms an archive has, so that an error names keys of that form alone."""
    given = archive.keys() if isinstance(archive, dict) else vars(archive)
    return "stow" if "stow_url" in given else "dicom"


Archive = Annotated[
    Annotated[DicomArchive, Tag("dicom")] | Annotated[WebArchive, Tag("stow")], Discriminator(_protocol)
]


class NodeLimits(Config):
    """What a node takes: MB of one image, MB of all images that it holds, and associations at once."""

    object_mb: PositiveInt = Field(default=MAX_IMAGE_BYTES >> 20, le=MAX_IMAGE_BYTES >> 20)
    held_mb: PositiveInt = 10_000
    associations: PositiveInt = 10


class NodeConfig(Config):
    """The DICOM node.

    Parameters
    ----------
    ae_title, host, port
        Of the node; it listens on the loopback address by default. ``tls``: its certificate.
    peers
        Who may send.
    archive
        Where results go, and ``send``: which of them.
    pause_seconds
        A study is predicted when no image of it has come for this time.
    retry_seconds
        Pauses between attempts to send; the last one repeats.
    keep_minutes
        Images are kept this long after their results have been made; a later one is predicted with them.
    """

    ae_title: AeTitle = "SPINELIFT"
    host: str = "127.0.0.1"
    port: Port = 11112
    tls: Tls | None = None
    peers: list[Peer] = Field(min_length=1)
    archive: Archive
    send: list[Kind] = Field(default=list(FILES), min_length=1)
    pause_seconds: PositiveFloat = 10
    retry_seconds: list[PositiveFloat] = Field(default=[5, 30, 120, 600], min_length=1)
    keep_minutes: PositiveFloat = 60
    limits: NodeLimits = NodeLimits()

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read YAML from a file; raises :class:`ConfigError`."""
        if not Path(path).is_file():
            raise ConfigError(
                found=f"no file {Path(path).name}",
                expected="a configuration of the DICOM node (YAML)",
                do="Check the path of --node; docs/deployment.md shows an example.",
            )
        return super().load(path)

    @model_validator(mode="after")
    def _commitment_can_be_reported(self) -> Self:
        archive = self.archive
        if isinstance(archive, DicomArchive) and archive.storage_commitment:
            titles = {peer.ae_title for peer in self.peers}
            if archive.ae_title not in titles:
                raise ValueError("storage_commitment needs the archive as a peer, since it sends a report")
        return self

    def accepts(self, ae_title: str, address: str) -> bool:
        """Whether a calling AE title may be used from this address."""
        return any(peer.ae_title == ae_title and peer.has(address) for peer in self.peers)

    def knows(self, address: str) -> bool:
        """Whether any peer has this address."""
        return any(peer.has(address) for peer in self.peers)

    def pause_after(self, tries: int) -> float:
        """Seconds until the next attempt, after this many."""
        return self.retry_seconds[min(max(tries, 1), len(self.retry_seconds)) - 1]
