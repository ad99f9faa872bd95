"""`python -m service models …`: what an operator does with the versions on disk; running services follow.

Every command changes one model's policy (`policy.py`) or takes version folders away, prints one line, and never leaves a
half-done thing. Knows the repository and policies; opens no graph, asks no service.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service import policy, repository
from service.errors import Unavailable
from service.manifest import NAME, VERSION
from service.mirror import MirrorError
from service.policy import Budget, Plan, Policy
from service.repository import BrokenVersion, Found
from service.settings import Settings
from service.store import Store

FAILED = 1


class CommandError(Exception):
    """What an operator can mend, in one sentence."""


class Repository:
    """The models folder as commands see it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self.store = Store(settings)
            self.store.refresh()
            self._found = repository.scan(settings.repository)
        except MirrorError as error:
            raise CommandError(f"{error}.") from error
        except OSError as error:
            raise CommandError(f"{settings.models_dir} cannot be read: {error.strerror}.") from error

    def names(self) -> list[str]:
        """Of all models."""
        return sorted({one.name for one in self._found})

    def versions(self, name: str) -> dict[int, Found]:
        """Of one model, ascending. Raises CommandError where there are none."""
        found = {one.version: one for one in self._found if one.name == name}
        if not NAME.fullmatch(name) or not found:
            raise CommandError(f"There is no model {name!r} in {self._settings.models_dir}; there are {self.names()}.")
        return found

    def folder(self, name: str) -> Path:
        """Of a model. Raises CommandError where there is none."""
        self.versions(name)
        return self.store.folder(name)

    def policy(self, name: str) -> Policy:
        """As it is now. Raises CommandError."""
        try:
            return policy.read(self.folder(name), self.store.unwritten(name))
        except (OSError, ValueError) as error:
            raise CommandError(f"The policy of '{name}' cannot be read: {error}.") from error

    def change(self, name: str, **fields: object) -> Policy:
        """Write other values. Raises CommandError."""
        self.versions(name)
        try:
            return self.store.change(name, **fields)
        except ValidationError as error:
            raise CommandError(f"{error.errors()[0]['msg']}.") from error
        except Unavailable as error:
            raise CommandError(error.message) from error

    def intact(self, name: str) -> Iterator[int]:
        """Versions whose files have the digests that their manifests state, newest first."""
        return (version for version, found in sorted(self.versions(name).items(), reverse=True) if not _fault(found))

    def answering(self, name: str) -> int | None:
        """The version that answers, as far as the files say."""
        held = self.policy(name)
        return next((version for version in self.intact(name) if held.answering(frozenset({version}))), None)

    def sound(self, name: str, version: int) -> int:
        """`version`, which is there and intact. Raises CommandError."""
        found = self.versions(name)
        if version not in found:
            raise CommandError(f"Version {version} of '{name}' is not there; there are {list(found)}.")
        if fault := _fault(found[version]):
            raise CommandError(f"Version {version} of '{name}' cannot be served: {fault}.")
        return version


def _fault(found: Found) -> str:
    try:
        repository.read(found)
    except BrokenVersion as error:
        return str(error)
    return ""


def promote(here: Repository, asked: argparse.Namespace) -> str:
    """A version answers: the tried one, or the one named, or the newest; the newest goes on to be replaced by newer ones."""
    held, before = here.policy(asked.name), here.answering(asked.name)
    tried = held.trial.version if held.trial else None
    version = here.sound(asked.name, asked.version or tried or max(here.versions(asked.name)))
    newest = not held.named and version == max(here.versions(asked.name))
    here.change(asked.name, pinned=None if newest else version, before=_other(before, version, held), trial=None, ended="")
    until = "until there is a newer one" if newest else "pinned"
    return f"{asked.name}: version {version} answers{_instead(before, version)}, {until}"


def pin(here: Repository, asked: argparse.Namespace) -> str:
    """A version answers until somebody says otherwise; newer ones are loaded and answer only who names them."""
    held, before = here.policy(asked.name), here.answering(asked.name)
    version = here.sound(asked.name, asked.version or before or max(here.versions(asked.name)))
    here.change(asked.name, pinned=version, before=_other(before, version, held), trial=None)
    return f"{asked.name}: version {version} answers{_instead(before, version)}, pinned"


def rollback(here: Repository, asked: argparse.Namespace) -> str:
    """The version that answered before answers again, pinned; where one is tried, only that ends."""
    held, now = here.policy(asked.name), here.answering(asked.name)
    if held.trial and asked.version is None:
        return end(here, asked)
    older = (version for version in here.intact(asked.name) if now is None or version < now)
    target = asked.version or (held.before if held.before != now else None) or next(older, None)
    if target is None:
        raise CommandError(f"There is no version of '{asked.name}' before {now}.")
    version = here.sound(asked.name, target)
    here.change(asked.name, pinned=version, before=now if now != version else held.before, trial=None)
    return f"{asked.name}: version {version} answers{_instead(now, version)}, pinned"


def follow(here: Repository, asked: argparse.Namespace) -> str:
    """The newest good version answers, again and again."""
    held, before = here.policy(asked.name), here.answering(asked.name)
    here.change(asked.name, pinned=None, trial=None)
    after = here.answering(asked.name)
    if after:
        here.change(asked.name, before=_other(before, after, held))
    return f"{asked.name}: version {after} answers{_instead(before, after)}, until there is a newer one"


def serve(here: Repository, asked: argparse.Namespace) -> str:
    """Which versions are loaded: `latest-N`, or numbers."""
    if asked.which.startswith("latest-") and VERSION.fullmatch(asked.which.removeprefix("latest-")):
        here.versions(asked.name)
        count = int(asked.which.removeprefix("latest-"))
        here.change(asked.name, newest=count, named=())
        return f"{asked.name}: the newest {count} good versions are served"
    parts = asked.which.split(",")
    if not all(VERSION.fullmatch(part) for part in parts):
        raise CommandError(f"{asked.which!r} is no way to serve versions; expected latest-N or numbers such as 1,4.")
    named = tuple(here.sound(asked.name, int(part)) for part in parts)
    here.change(asked.name, named=named)
    return f"{asked.name}: served are {', '.join(parts)}"


def _trial(kind: str) -> Callable[[Repository, argparse.Namespace], str]:
    def begin(here: Repository, asked: argparse.Namespace) -> str:
        candidate, others = here.sound(asked.name, asked.version), here.intact(asked.name)
        held = here.policy(asked.name)
        main = held.pinned or here.answering(asked.name)
        if main in (None, candidate):
            main = next((one for one in others if one != candidate), None)
        if main is None:
            raise CommandError(f"'{asked.name}' has no other version that could answer meanwhile.")
        try:
            budget = Budget(errors=asked.errors, disagreement=asked.disagreement, slower=asked.slower, least=asked.least)
            plan = Plan.model_validate(
                {"kind": kind, "version": candidate, "percent": asked.percent, "budget": budget.model_dump()}
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise CommandError(f"--{first['loc'][-1]} is {first['input']!r}: {first['msg']}.") from error
        here.change(asked.name, pinned=main, trial=plan.model_dump(), ended="")
        does = "answers" if kind == "canary" else "gets copies of"
        return f"{asked.name}: version {candidate} {does} {asked.percent:g} % of the requests, version {main} answers"

    begin.__doc__ = {
        "shadow": "A version gets copies of requests and answers nobody; its agreement, time and errors are counted.",
        "canary": "A version answers a share of the requests, and is taken back by itself where its budget breaks.",
    }[kind]
    return begin


def end(here: Repository, asked: argparse.Namespace) -> str:
    """No more shadow or canary; the version that answers stays."""
    here.versions(asked.name)
    here.change(asked.name, trial=None)
    return f"{asked.name}: nothing is tried, version {here.answering(asked.name)} answers"


def load(here: Repository, asked: argparse.Namespace) -> str:
    """The model is served."""
    here.versions(asked.name)
    here.change(asked.name, unloaded=False)
    return f"{asked.name}: served"


def unload(here: Repository, asked: argparse.Namespace) -> str:
    """Nothing of the model is served, until it is loaded."""
    here.versions(asked.name)
    here.change(asked.name, unloaded=True)
    return f"{asked.name}: not served until it is loaded"


def remove(here: Repository, asked: argparse.Namespace) -> str:
    """Delete a version, or all but the newest N; never one that answers, is tried, or that a rollback would go to."""
    found, held = here.versions(asked.name), here.policy(asked.name)
    needed = {version for version in (here.answering(asked.name), held.before, *held.always()) if version}
    if (asked.version is None) == (asked.keep is None):
        raise CommandError("Say which: a version, or --keep N.")
    if asked.version is not None and asked.version not in found:
        raise CommandError(f"Version {asked.version} of '{asked.name}' is not there; there are {list(found)}.")
    if asked.version in needed:
        raise CommandError(
            f"Version {asked.version} of '{asked.name}' is in use: it answers, is tried or would be rolled back to."
        )
    gone = [asked.version] if asked.version else [version for version in list(found)[: -asked.keep] if version not in needed]
    for version in gone:
        here.store.remove(asked.name, version)
        _delete(found[version].folder)
    return f"{asked.name}: removed {', '.join(map(str, gone)) or 'nothing'}; left are {[v for v in found if v not in gone]}"


def _delete(folder: Path) -> None:
    """Out of sight in one step, then away."""
    try:
        aside = Path(tempfile.mkdtemp(prefix=".removed-", dir=folder.parent))
        try:
            folder.rename(aside / folder.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise CommandError(f"{folder} cannot be removed: {error.strerror}.") from error


def list_(here: Repository, asked: argparse.Namespace) -> str:
    """Every version, and what its model's policy makes of it."""
    lines: list[str] = []
    for name in here.names() if asked.name is None else [asked.name]:
        held, found = here.policy(name), here.versions(name)
        answering = here.answering(name)
        lines += [
            f"{name}:{version}  {_role(held, version, answering) or _fault(found[version]) or '-'}"
            for version in sorted(found, reverse=True)
        ]
        if held.ended:
            lines.append(f"{name}: {held.ended}")
    return "\n".join(lines)


def _role(held: Policy, version: int, answering: int | None) -> str:
    if held.unloaded:
        return "unloaded"
    if held.trial and held.trial.version == version:
        return f"{held.trial.kind}, {held.trial.percent:g} %"
    if version == answering:
        return "answers, pinned" if held.pinned else "answers"
    return "answered before" if version == held.before else ""


def _other(before: int | None, after: int, held: Policy) -> int | None:
    """Where a rollback from `after` goes."""
    return before if before != after else held.before


def _instead(before: int | None, after: int | None) -> str:
    return "" if before in (None, after) else f" instead of {before}"


COMMANDS: dict[str, tuple[Callable[[Repository, argparse.Namespace], str], tuple[str, ...]]] = {
    "list": (list_, ("name?",)),
    "promote": (promote, ("name", "version?")),
    "rollback": (rollback, ("name", "version?")),
    "pin": (pin, ("name", "version?")),
    "follow": (follow, ("name",)),
    "serve": (serve, ("name", "which")),
    "shadow": (_trial("shadow"), ("name", "version", "trial")),
    "canary": (_trial("canary"), ("name", "version", "trial")),
    "end": (end, ("name",)),
    "load": (load, ("name",)),
    "unload": (unload, ("name",)),
    "remove": (remove, ("name", "version?", "keep")),
}


def _number(word: str) -> int:
    if not VERSION.fullmatch(word):
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number from 1")
    return int(word)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service models", description="The versions in the models folder.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    plan = Budget()
    for command, (function, takes) in COMMANDS.items():
        sub = subparsers.add_parser(command, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(run=function)
        for name in takes:
            _argument(sub, name, plan, 100.0 if command == "shadow" else 5.0)
    return parser


def _argument(sub: argparse.ArgumentParser, name: str, budget: Budget, percent: float) -> None:
    optional: dict[str, Any] = {"nargs": "?"} if name.endswith("?") else {}
    match name.rstrip("?"):
        case "version":
            sub.add_argument("version", type=_number, **optional)
        case "which":
            sub.add_argument("which", help="latest-N, or numbers such as 1,4")
        case "keep":
            sub.add_argument("--keep", type=_number, help="how many of the newest stay")
        case "trial":
            sub.add_argument("--percent", type=float, default=percent, help="share of the requests (%(default)s)")
            sub.add_argument("--errors", type=float, default=budget.errors, help="share that may fail (%(default)s)")
            sub.add_argument(
                "--disagreement", type=float, default=budget.disagreement, help="share that may differ (%(default)s)"
            )
            sub.add_argument("--slower", type=float, default=budget.slower, help="p99 over the other's (%(default)s)")
            sub.add_argument("--least", type=int, default=budget.least, help="requests before shares count (%(default)s)")
        case other:
            sub.add_argument(other, **optional)


def main(arguments: Sequence[str], settings: Settings) -> int:
    """Run one command; its exit code."""
    asked = _parser().parse_args(arguments)
    try:
        sys.stdout.write(f"{asked.run(Repository(settings), asked)}\n")
    except (CommandError, MirrorError) as error:
        sys.stderr.write(f"modelyard: {error}\n")
        return FAILED
    return 0
