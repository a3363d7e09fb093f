"""What the commands share: one line for what cannot be used, what was left out, exit statuses."""

import errno
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from wsgcn_jax.settings import OPTIONAL, RENAMED
from wsgcn_jax.types import Skipped


def fail(message: str) -> int:
    """Says what cannot be used; returns the exit status 2."""
    print(f"error: {message}", file=sys.stderr)
    return 2


def fail_on_full_disk(error: OSError, out: Path) -> int:
    """Says that the disk is full, and returns the exit status 2; raises any other error again."""
    if error.errno != errno.ENOSPC:
        raise error
    return fail(f"{out}: the disk is full; make room and start the same command again")


def log_skipped(skipped: Sequence[Skipped]) -> int:
    """Says which photos were left out; returns the exit status: 3 for any, else 0."""
    for photo, reason in skipped:
        print(f"left out: {photo}: {reason}", file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} photos were left out", file=sys.stderr)
    return 3 if skipped else 0


def parse_config_flags(
    argv: Sequence[str], config: str, define: Callable[[], None], see: str
) -> list[str]:
    """Parses a command line with `--config`; a bad option ends with one line, no traceback.

    `--config.KEY=None`, or nothing behind the equals sign, sets a key that may be None to None.
    The flags are defined here, since config_flags looks at the command line while it defines.

    Args:
        argv: the command line.
        config: file of the default configuration.
        define: defines the command's own flags.
        see: where the user finds every option.

    Returns:
        What are no flags, behind the command's name.
    """
    emptied = [key for argument in argv[1:] if (key := _emptied_key(argument))]
    argv = [argument for argument in argv if not _emptied_key(argument)]
    try:
        config_flags.DEFINE_config_file("config", config, "The configuration.")
        define()
        rest = flags.FLAGS(list(argv))
        _ = flags.FLAGS.config.stages  # a file that failed to load says so on its first use
        flags.FLAGS.config.update_from_flattened_dict(dict.fromkeys(emptied))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        text = " ".join(str(error).replace("\\n", " ").replace("\\'", "").split())
        sys.exit(fail(f"{text}{_renamed(argv)} (see {see})"))
    if len(rest) > 1:
        sys.exit(fail(f"unknown argument {rest[1]!r}; options begin with --"))
    return rest


def _emptied_key(argument: str) -> str | None:
    """Returns the key that an argument sets to None, among those that may be."""
    match = re.fullmatch(r"--?config\.([\w.]+)=(None|none|)", argument)
    return match[1] if match and match[1] in OPTIONAL else None


def _renamed(argv: Sequence[str]) -> str:
    """Says how keys are called that older configurations had under another name."""
    keys = (match[1] for a in argv if (match := re.match(r"--?config\.([\w.]+)", a)))
    return "".join(f"; {k} is called {RENAMED[k]}" for k in keys if k in RENAMED)
