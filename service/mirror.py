"""A repository that lies elsewhere, as a folder here: any address that fsspec knows, such as `s3://bucket/models`.

    <address>/<name>/<version>/manifest.json …, <name>/policy.json  --what is new, fetched, checked-->  a folder here

The folder is what everything else looks at. A version is put there whole, in one step, once every file has the SHA-256 that
its manifest states; one that has not is put there only where there is nothing in its place, so that it is refused and named
like any other. What cannot be read changes nothing. Of several processes that share the folder one fetches. Knows fsspec (the
extra `remote`, and a driver such as s3fs) and the manifest; knows no model.
"""

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from service import policy
from service.manifest import FILE, MANIFEST, NAME, VERSION, Manifest, sha256
from service.policy import Policy

STATE, LOCK, CLAIM = ".mirror.json", ".mirror.lock", "claim"
MOST_FILES = 100
"""Files of one version."""


class MirrorError(Exception):
    """What an operator can mend, in one sentence without a full stop."""


class Mirror:
    """Of one address, in one folder."""

    def __init__(self, address: str, folder: Path) -> None:
        """Raises MirrorError where nothing here can read such an address."""
        self.address, self.folder = address.rstrip("/"), folder
        try:
            from fsspec.core import url_to_fs

            self._files, self._root = url_to_fs(self.address, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            hint = "it takes the extra `remote` and a driver, such as pip install 'modelyard[remote]' s3fs"
            raise MirrorError(f"{self.address} cannot be read: {_short(error)}; {hint}") from error
        self._root = self._root.rstrip("/")

    # reading

    def refresh(self) -> bool:
        """Fetch what is new; whether this process did, or another one does. Raises MirrorError; what is here stays then."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            found = self._listed()
            state = self._state()
            for place, files in found.items():
                if state.get(place) != files or not (self.folder / place).is_dir():
                    if self._fetch(place):
                        state[place] = files
                    else:
                        state.pop(place, None)
            self._policies(state)
            self._forget(found, state)
            (self.folder / STATE).write_text(json.dumps(state))
        return True

    def _listed(self) -> dict[str, dict[str, str]]:
        """Every complete version, `<name>/<version>`: its files, each with something that changes when it does."""
        entries = self._asked(lambda: self._files.find(self._root, maxdepth=3, detail=True))
        if not entries:  # as object storage says of what is gone or was never there
            raise MirrorError(f"{self.address} cannot be read: there is nothing")
        found: dict[str, dict[str, str]] = {}
        self._written: dict[str, str] = {}
        for path, entry in entries.items():
            parts = path[len(self._root) :].strip("/").split("/")
            if len(parts) == 3 and NAME.fullmatch(parts[0]) and VERSION.fullmatch(parts[1]) and FILE.fullmatch(parts[2]):
                found.setdefault("/".join(parts[:2]), {})[parts[2]] = _stamp(entry)
            elif len(parts) == 2 and NAME.fullmatch(parts[0]) and parts[1] == policy.FILE:
                self._written["/".join(parts)] = _stamp(entry)
        return {place: files for place, files in found.items() if MANIFEST in files and len(files) <= MOST_FILES}

    def _fetch(self, place: str) -> bool:
        """Put a version in its place; whether that is settled, so that it need not be fetched again until it changes."""
        model = (self.folder / place).parent
        model.mkdir(exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=model))
        try:
            fault = self._get(place, aside)
            there = self.folder / place
            if not fault or not there.exists():
                if there.exists():
                    there.rename(aside / ".before")
                _whole(aside, there)
            return not fault
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _get(self, place: str, aside: Path) -> bool:
        """Fetch the files of a version into `aside`; whether anything is not as its manifest says."""
        data = self._read(f"{place}/{MANIFEST}")
        (aside / "version").mkdir()
        (aside / "version" / MANIFEST).write_bytes(data)
        try:
            manifest = Manifest.model_validate_json(data)
        except ValueError:
            return True
        fault = False
        for name, stated in manifest.files.items():
            if not FILE.fullmatch(name):
                return True
            try:
                content = self._read(f"{place}/{name}")
            except FileNotFoundError:
                fault = True
                continue
            fault |= sha256(content) != stated.sha256
            (aside / "version" / name).write_bytes(content)
        return fault

    def _policies(self, state: dict[str, Any]) -> None:
        for path, stamp in self._written.items():
            if state.get(path) == stamp or not (self.folder / path).parent.is_dir():
                continue
            part = self.folder / f"{path}.part"
            part.write_bytes(self._read(path))
            part.replace(self.folder / path)
            state[path] = stamp

    def _forget(self, found: Mapping[str, Any], state: dict[str, Any]) -> None:
        """What is not there any more is not here either."""
        for model in self.folder.iterdir():
            if not NAME.fullmatch(model.name) or not model.is_dir():
                continue
            for here in model.iterdir():
                place = f"{model.name}/{here.name}"
                if VERSION.fullmatch(here.name) and place not in found:
                    shutil.rmtree(here, ignore_errors=True)
                    state.pop(place, None)
            if f"{model.name}/{policy.FILE}" not in self._written:
                (model / policy.FILE).unlink(missing_ok=True)
                state.pop(f"{model.name}/{policy.FILE}", None)

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.folder / STATE).read_bytes())
        except (OSError, ValueError):
            return {}
        return state

    def is_empty(self) -> bool:
        """Whether there is nothing at all. Raises MirrorError."""
        return not self._asked(lambda: self._files.find(self._root, maxdepth=1, withdirs=True))

    # writing

    def publish(self, name: str, files: Mapping[str, bytes], manifest: Callable[[int], bytes]) -> int:
        """Write a version under the next free number, its manifest last; the number. Raises MirrorError: then it is not there.

        A number is claimed by an object that only one can make, so that two publishers get two numbers.
        """
        taken = [int(place.split("/")[1]) for place in self._asked(lambda: self._numbers(name))]
        version = max(taken, default=0) + 1
        while not self._created(f"{name}/{version}/{CLAIM}", uuid.uuid4().bytes):
            version += 1
        written = [CLAIM]
        try:
            for file, data in files.items():
                written.append(file)
                self._write(f"{name}/{version}/{file}", data)
            self._last(f"{name}/{version}/{MANIFEST}", manifest(version))
        except MirrorError:
            for file in written:
                with suppress(Exception):  # it is no version without its manifest, whatever is left
                    self._files.rm_file(f"{self._root}/{name}/{version}/{file}")
            raise
        return version

    def change_policy(self, name: str, unwritten: Policy, **fields: object) -> Policy:
        """Write a policy with other values of these fields, there and here. Raises MirrorError, or as `policy.change`."""
        here = self.folder / name / policy.FILE
        before = here.read_bytes() if here.exists() else None
        changed = policy.change(here.parent, unwritten, **fields)
        try:
            self._write(f"{name}/{policy.FILE}", here.read_bytes())
        except MirrorError:
            if before is None:
                here.unlink()
            else:
                here.write_bytes(before)
            raise
        return changed

    def remove(self, name: str, version: int) -> None:
        """Delete a version, its manifest first, so that it is none any more. Raises MirrorError."""
        place = f"{self._root}/{name}/{version}"
        self._asked(lambda: self._files.rm_file(f"{place}/{MANIFEST}"))
        self._asked(lambda: self._files.rm(place, recursive=True))

    def check_writable(self, name: str) -> None:
        """Raises MirrorError where nothing can be written."""
        probe = f"{name}/.probe-{uuid.uuid4().hex}"
        self._write(probe, b"")
        self._asked(lambda: self._files.rm_file(f"{self._root}/{probe}"))

    def _numbers(self, name: str) -> list[str]:
        """`<name>/<version>` of everything that has begun to be written."""
        try:
            paths = self._files.find(f"{self._root}/{name}", maxdepth=2)
        except FileNotFoundError:
            return []
        parts = [path[len(self._root) :].strip("/").split("/") for path in paths]
        return ["/".join(one[:2]) for one in parts if len(one) == 3 and VERSION.fullmatch(one[1])]

    def _last(self, path: str, data: bytes) -> None:
        if not self._created(path, data):
            raise MirrorError(f"{self.address}/{path} was written by somebody else")

    def _created(self, path: str, data: bytes) -> bool:
        """Whether the object is ours: it was not there before, in one step. Raises MirrorError."""
        try:
            self._files.pipe_file(f"{self._root}/{path}", data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise MirrorError(f"{self.address}/{path} cannot be written: {_short(error)}") from error
        return True

    def _write(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(f"{self._root}/{path}", data)
        except Exception as error:
            raise MirrorError(f"{self.address}/{path} cannot be written: {_short(error)}") from error

    def _read(self, path: str) -> bytes:
        """Raises FileNotFoundError, and MirrorError for what else keeps it from being read."""
        content: bytes = self._asked(lambda: self._files.cat_file(f"{self._root}/{path}"), missing=True)
        return content

    def _asked(self, ask: Callable[[], Any], *, missing: bool = False) -> Any:
        try:
            return ask()
        except Exception as error:
            if missing and isinstance(error, FileNotFoundError):
                raise
            raise MirrorError(f"{self.address} cannot be read: {_short(error)}") from error


def _whole(aside: Path, there: Path) -> None:
    """On disk, then in its place in one step."""
    for file in (aside / "version").iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    (aside / "version").rename(there)


def _stamp(entry: Mapping[str, Any]) -> str:
    """Something that changes when an object does: what its store says of it."""
    said = [entry.get(key) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created", "size")]
    return "|".join(str(one) for one in said if one is not None)


def _short(error: BaseException) -> str:
    return " ".join(f"{error or type(error).__name__}".split())[:200]
