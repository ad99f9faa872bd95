"""`python -m service keys …`: the key file, changed from the command line. A running service follows within seconds.

Knows the file and argparse; asks no running service. A new key is printed once, alone on standard output; nothing else ever
says it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from re import fullmatch

from pydantic import ValidationError

from service import files, keys
from service.keys import Key, Keys
from service.settings import Settings

FAILED = 1


class CommandError(Exception):
    """What an operator can mend, in one sentence."""


def add(path: Path, held: Keys, asked: argparse.Namespace) -> str:
    """Make a key; the file too, where there is none."""
    if asked.name in held.keys:
        raise CommandError(f"There is a key {asked.name!r} already; rotate or revoke it.")
    said, digest = keys.made(asked.name)
    try:
        key = Key(roles=frozenset(asked.role), digests=(digest,), created=keys.now(), rate=asked.rate, burst=asked.burst)
        keys.write(path, held.changed(asked.name, key))
    except ValidationError as error:
        first = error.errors()[0]
        raise CommandError(f"--{first['loc'][0]} is {first['input']!r}: {first['msg']}.") from error
    return said


def rotate(path: Path, held: Keys, asked: argparse.Namespace) -> str:
    """Give a key another secret; the one before ends, at once or after --grace seconds."""
    said, digest = keys.made(asked.name)
    keys.write(path, held.changed(asked.name, keys.replaced(_known(held, asked), digest, asked.grace, keys.now())))
    return said


def revoke(path: Path, held: Keys, asked: argparse.Namespace) -> str:
    """End a key."""
    _known(held, asked)
    keys.write(path, held.changed(asked.name, None))
    return f"{asked.name}: revoked"


def list_(path: Path, held: Keys, asked: argparse.Namespace) -> str:  # noqa: ARG001 - every command takes the same
    """Each key with its roles and limits; no secret is known."""
    return "\n".join(
        f"{name}  {','.join(sorted(key.roles))}  {_limit(key)}  since {key.created:%Y-%m-%d}"
        for name, key in sorted(held.keys.items())
    )


def _limit(key: Key) -> str:
    return f"{key.rate:g} a second" if key.rate else "no limit"


def _known(held: Keys, asked: argparse.Namespace) -> Key:
    if asked.name not in held.keys:
        raise CommandError(f"There is no key {asked.name!r}; there are {sorted(held.keys)}.")
    return held.keys[asked.name]


COMMANDS: dict[str, Callable[[Path, Keys, argparse.Namespace], str]] = {
    "add": add,
    "rotate": rotate,
    "revoke": revoke,
    "list": list_,
}


def _name(word: str) -> str:
    if not fullmatch(keys.NAME, word):
        raise argparse.ArgumentTypeError(f"{word!r} is no name: expected 1 to 32 of a-z, 0-9 and '-'")
    return word


def _seconds(word: str) -> float:
    if not fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", word):
        raise argparse.ArgumentTypeError(f"{word!r} is no number of seconds")
    return float(word)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service keys", description="The API keys in MODELYARD_KEYS.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, function in COMMANDS.items():
        sub = subparsers.add_parser(command, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(run=function)
        if command != "list":
            sub.add_argument("name", type=_name)
        if command == "add":
            sub.add_argument(
                "--role", action="append", required=True, choices=["infer", "metrics", "admin"], help="again for more"
            )
            sub.add_argument("--rate", type=float, help="requests a second; without it there is no limit")
            sub.add_argument("--burst", type=int, help="requests at once; without it a second's worth")
        if command == "rotate":
            sub.add_argument("--grace", type=_seconds, default=0.0, help="seconds that the old one goes on (%(default)s)")
    return parser


def main(arguments: Sequence[str], settings: Settings) -> int:
    """Run one command; its exit code."""
    asked = _parser().parse_args(arguments)
    path = settings.keys
    if path is None:
        return _failed("MODELYARD_KEYS is not set; it names the key file, which `add` makes where there is none.")
    try:
        with files.locked(path.parent):
            held = Keys() if asked.run is add and not path.exists() else keys.read(path)
            sys.stdout.write(f"{asked.run(path, held, asked)}\n")
    except CommandError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{path} cannot be read or written: {error.strerror}.")
    except ValueError as error:
        return _failed(f"{path} is no key file: {error}.")
    return 0


def _failed(sentence: str) -> int:
    sys.stderr.write(f"modelyard: {sentence}\n")
    return FAILED
