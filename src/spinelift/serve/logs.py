"""Log lines without personal data: no names of files, scans or people, no tokens, no addresses.

A request is logged by the template of its route. What other libraries' exceptions say is not logged.
"""

import json
import logging
import sys

from spinelift.serve.job import timestamp

_FIELDS = ("method", "route", "status", "seconds", "error", "place")
"""Fields of a record besides its message; others are not written."""


class _Lines(logging.Formatter):
    """One line a record: text, or JSON."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._json = as_json

    def format(self, record: logging.LogRecord) -> str:
        moment = timestamp(record.created)
        fields = {name: getattr(record, name, None) for name in _FIELDS}
        fields = {name: round(v, 3) if isinstance(v, float) else v for name, v in fields.items()}
        fields = {name: value for name, value in fields.items() if value is not None}
        if record.exc_info and record.exc_info[0]:
            fields["error"] = record.exc_info[0].__name__
        message = record.getMessage()
        if self._json:
            lead = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
            return json.dumps({**lead, "message": message, **fields})
        rest = "".join(f" {name}={value}" for name, value in fields.items())
        return f"{moment} {record.levelname.lower()} {message}{rest}"


def start_logging(*, as_json: bool, verbose: bool) -> None:
    """Write the lines of this package to the standard error; with ``verbose`` also one for every request.

    Of other libraries, warnings alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(as_json))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("spinelift.serve").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("pynetdicom", "pydicom", "distributed"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
