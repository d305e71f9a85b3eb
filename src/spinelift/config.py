"""Typed configurations as YAML files: what all share, and how one is read."""

from collections.abc import Mapping
from functools import reduce
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import getitem
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from spinelift.errors import ConfigError
from spinelift.files import write_whole

MAX_BYTES = 1 << 16
"""Largest file of a configuration; the parser reads about 100 kB a second."""


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them expand to billions of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name): write the value itself")
        return super().compose_node(parent, index)


def _text(file: Traversable) -> str:
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 10} KiB")
    return data.decode()


class Config(BaseModel):
    """A frozen model that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read YAML from a file, or a configuration of the package by its name (``default.yaml``).

        A key ``base`` names another configuration, of which the file changes some values.
        """
        source = Path(path)
        packaged = files("spinelift") / "configs" / source.name
        try:
            file = source if source.is_file() else packaged
            document = yaml.load(_text(file), _Plain)
            base = document.pop("base", None) if isinstance(document, dict) else None
            return cls.model_validate(
                merged(cls.load(str(base)).model_dump(), document) if base else document
            )
        except FileNotFoundError as error:
            raise ConfigError(
                found=f"no file {source.name}",
                expected="a YAML file, or the name of a configuration of the package",
                do=f"Choose one of {', '.join(packaged_configs())}.",
            ) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # pydantic's, UnicodeError: ValueErrors
            raise ConfigError(
                found=f"in {source.name}: {error}",
                expected=f"a {cls.__name__}",
                do="Fix the values named above.",
            ) from error

    def dump(self, path: Path) -> None:
        """Write as YAML."""
        write_whole(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


AnyConfig = TypeVar("AnyConfig", bound=Config)


def merged(old: object, new: object) -> object:
    """Values of ``new`` in place of those of ``old``, in nested mappings key by key."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


def packaged_configs() -> list[str]:
    """Names of the configurations in the package."""
    return sorted(p.name for p in (files("spinelift") / "configs").iterdir() if p.name.endswith(".yaml"))


def with_values(config: AnyConfig, values: Mapping[str, object]) -> AnyConfig:
    """A copy with other values at keys such as ``loop.batch``.

    Raises KeyError or TypeError for a key that leads nowhere, ValueError for a value that makes no sense.
    """
    document = config.model_dump()
    for key, value in values.items():
        *path, name = key.split(".")
        reduce(getitem, path, document)[name] = value
    return type(config).model_validate(document)


def flat(values: object, prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings and lists by keys such as ``loop.batch`` and ``networks.0.name``."""
    if not isinstance(values, Mapping | list) or not values:
        return {prefix.rstrip("."): values}
    items = values.items() if isinstance(values, Mapping) else enumerate(values)
    return {k: v for key, value in items for k, v in flat(value, f"{prefix}{key}.").items()}
