"""Options of in-memory file systems, as --tmpfs and --mount type=tmpfs take them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from common.errors import InvalidArgument
from common.model.shared import TmpfsOptions

_DEFAULTS = ("noexec", "nosuid", "nodev")
_OPPOSITES = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro", "atime": "noatime", "async": "sync"}
_FLAGS = {*_OPPOSITES, *_OPPOSITES.values(), "diratime", "nodiratime", "relatime", "norelatime", "strictatime"}
_FLAGS |= {"nostrictatime", "private", "rprivate", "shared", "rshared", "slave", "rslave", "mand", "nomand", "dirsync"}
_VALUES = re.compile(
    r"size=\d+[kKmMgG%]?|mode=[0-7]+|nr_inodes=\d+[kKmMgG]?|nr_blocks=\d+[kKmMgG]?|uid=\d+|gid=\d+|mpol=[\w:=,.-]+"
)


def parse_options(text: str) -> tuple[str, ...]:
    """ "size=64m,exec" over Docker's defaults. Raises InvalidArgument."""
    return _laid_over(_DEFAULTS, text.split(",") if text else ())


def sized_options(options: TmpfsOptions | None, *, read_only: bool) -> tuple[str, ...]:
    """A mount's TmpfsOptions: size in bytes, mode as a number, further options as [name] or [name, value]."""
    chosen = [*_DEFAULTS, "ro" if read_only else "rw"]
    if options is None:
        return tuple(chosen)
    if options.size_bytes < 0:
        raise InvalidArgument(f"invalid tmpfs size {options.size_bytes}")
    if options.size_bytes:
        chosen.append(f"size={options.size_bytes}")
    if options.mode:
        chosen.append(f"mode={options.mode:o}")
    return _laid_over(chosen, ("=".join(pair) for pair in options.options))


def _laid_over(base: Sequence[str], options: Iterable[str]) -> tuple[str, ...]:
    """Each option takes its opposite in what came before away."""
    chosen = list(base)
    for option in options:
        if option not in _FLAGS and not _VALUES.fullmatch(option):
            raise InvalidArgument(f"invalid tmpfs option [{option!r}]")
        opposite = _OPPOSITES.get(option) or next((o for o, n in _OPPOSITES.items() if n == option), None)
        chosen = [other for other in chosen if other not in (option, opposite)] + [option]
    return tuple(chosen)
