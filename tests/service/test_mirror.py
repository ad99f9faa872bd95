"""A repository in object storage: a real server that speaks S3, its faults, two publishers at once."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from service import mirror, policy, repository
from service.manifest import MANIFEST, Manifest
from service.mirror import Mirror, MirrorError
from service.policy import Policy
from service.repository import BrokenVersion
from tests.conftest import ROOT, write_version
from tests.test_versions import until

pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
ADDRESS = "s3://bucket/models"


@pytest.fixture(scope="module")
def server():
    """An S3 server of its own; its address."""
    moto = pytest.importorskip("moto.server", reason="no S3 server here")
    one = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    one.start()
    host, port = one.get_host_and_port()
    yield f"http://{host}:{port}"
    one.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, and what its clients are told by the environment."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    files.mkdir("bucket")
    yield files
    files.rm("bucket", recursive=True)


def upload(files, models_dir: Path) -> None:
    for path in sorted(models_dir.rglob("*")):
        if path.is_file():
            files.pipe_file(f"bucket/models/{path.relative_to(models_dir)}", path.read_bytes())


@pytest.fixture
def here(bucket, tmp_path):
    """A mirror of a bucket with one version."""
    write_version(tmp_path / "models")
    upload(bucket, tmp_path / "models")
    return Mirror(ADDRESS, tmp_path / "here")


def versions(folder: Path) -> list[tuple[str, int]]:
    return [(one.name, one.version) for one in repository.scan(folder)]


def test_what_is_there_is_here_whole_and_checked(here):
    assert here.refresh()
    (found,) = repository.scan(here.folder)
    assert repository.read(found).manifest.name == "light"
    assert here.folder.stat().st_mode & 0o077 == 0


def test_nothing_is_fetched_twice(here, monkeypatch):
    here.refresh()
    reads = []
    monkeypatch.setattr(here, "_read", reads.append)
    here.refresh()
    assert reads == []
    again = Mirror(ADDRESS, here.folder)
    monkeypatch.setattr(again, "_read", reads.append)
    again.refresh()
    assert reads == []


def test_a_new_version_comes_and_one_that_is_gone_goes(here, bucket, tmp_path):
    here.refresh()
    write_version(tmp_path / "models", version=2)
    upload(bucket, tmp_path / "models")
    here.refresh()
    assert versions(here.folder) == [("light", 1), ("light", 2)]
    bucket.rm("bucket/models/light/1", recursive=True)
    here.refresh()
    assert versions(here.folder) == [("light", 2)]


def test_a_version_without_its_manifest_is_none(here, bucket, tmp_path):
    write_version(tmp_path / "models", version=2)
    for path in (tmp_path / "models/light/2").iterdir():
        if path.name != MANIFEST:
            bucket.pipe_file(f"bucket/models/light/2/{path.name}", path.read_bytes())
    here.refresh()
    assert versions(here.folder) == [("light", 1)]


def test_a_partial_upload_is_named_and_served_once_it_is_whole(here, bucket, tmp_path):
    write_version(tmp_path / "models", version=2)
    data = (tmp_path / "models/light/2/model.onnx").read_bytes()
    upload(bucket, tmp_path / "models")
    bucket.pipe_file("bucket/models/light/2/model.onnx", data[:-1])
    here.refresh()
    _, second = repository.scan(here.folder)
    with pytest.raises(BrokenVersion, match=r"model\.onnx has"):
        repository.read(second)
    bucket.pipe_file("bucket/models/light/2/model.onnx", data)
    here.refresh()
    assert repository.read(repository.scan(here.folder)[1]).manifest.version == 2


def test_damage_there_leaves_what_is_here(here, bucket):
    here.refresh()
    bucket.pipe_file("bucket/models/light/1/model.onnx", b"damaged")
    here.refresh()
    assert repository.read(repository.scan(here.folder)[0])


def test_what_cannot_be_reached_or_is_gone_leaves_what_is_here(here, bucket, monkeypatch):
    here.refresh()
    before = versions(here.folder)
    bucket.rm("bucket/models", recursive=True)
    with pytest.raises(MirrorError, match="s3://bucket/models cannot be read: there is nothing"):
        here.refresh()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(MirrorError, match="cannot be read"):
        Mirror(ADDRESS, here.folder).refresh()
    assert versions(here.folder) == before


def test_who_may_not_read_is_told_in_one_line(bucket, tmp_path, monkeypatch):
    one = Mirror("s3://bucket/models", tmp_path / "here")

    def denied(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(one._files, "find", denied)
    with pytest.raises(MirrorError) as error:
        one.refresh()
    assert str(error.value) == "s3://bucket/models cannot be read: Access Denied"


@pytest.mark.parametrize("address", ["nowhere://x", "gopher://x/y"])
def test_an_address_that_nothing_reads_is_told(address, tmp_path):
    with pytest.raises(MirrorError, match=r"cannot be read: .*extra `remote`"):
        Mirror(address, tmp_path)


def test_a_policy_comes_along_and_goes(here, bucket):
    here.refresh()
    bucket.pipe_file("bucket/models/light/policy.json", b'{"pinned": 1}')
    here.refresh()
    assert json.loads((here.folder / "light/policy.json").read_text()) == {"pinned": 1}
    bucket.rm("bucket/models/light/policy.json")
    here.refresh()
    assert not (here.folder / "light/policy.json").exists()


def test_of_two_processes_one_fetches(here):
    here.folder.mkdir(mode=0o700)
    with (here.folder / mirror.LOCK).open("w") as lock:
        mirror.fcntl.flock(lock, mirror.fcntl.LOCK_EX)
        assert not here.refresh()
    assert here.refresh()


def test_names_that_lead_elsewhere_are_not_followed(here, bucket):
    bucket.pipe_file("bucket/models/light/1/..%2f..%2fx", b"x")
    bucket.pipe_file("bucket/models/.ssh/1/manifest.json", b"x")
    here.refresh()
    assert versions(here.folder) == [("light", 1)]
    assert sorted(one.name for one in here.folder.iterdir()) == sorted([mirror.LOCK, mirror.STATE, "light"])


# publishing


def made(tmp_path: Path) -> tuple[dict[str, bytes], Manifest]:
    folder = write_version(tmp_path / "made")
    manifest = Manifest.read(folder)
    return {name: (folder / name).read_bytes() for name in manifest.files}, manifest


def numbered(manifest: Manifest):
    return lambda version: manifest.model_copy(update={"version": version}).dump()


def test_a_published_version_has_the_next_number_and_is_fetched_like_any(here, tmp_path):
    files, manifest = made(tmp_path)
    assert here.publish("light", files, numbered(manifest)) == 2
    here.refresh()
    assert [repository.read(one).manifest.version for one in repository.scan(here.folder)] == [1, 2]


def test_publishers_at_once_get_numbers_of_their_own(here, tmp_path):
    files, manifest = made(tmp_path)
    got = []
    publishers = [
        threading.Thread(target=lambda: got.append(Mirror(ADDRESS, here.folder).publish("light", files, numbered(manifest))))
        for _ in range(4)
    ]
    for one in publishers:
        one.start()
    for one in publishers:
        one.join()
    assert sorted(got) == [2, 3, 4, 5]
    here.refresh()
    assert len([repository.read(one) for one in repository.scan(here.folder)]) == 5


@pytest.mark.parametrize("nth", range(1, 5))
def test_a_write_that_fails_leaves_no_version(here, tmp_path, monkeypatch, nth):
    files, manifest = made(tmp_path)
    pipe_file, count = here._files.pipe_file, [0]

    def failing(path, *rest, **more):
        count[0] += 1
        if count[0] == nth:
            raise OSError(28, "No space left on device")
        return pipe_file(path, *rest, **more)

    monkeypatch.setattr(here._files, "pipe_file", failing)
    with pytest.raises(MirrorError, match=r"cannot be written: .*No space left"):
        here.publish("light", files, numbered(manifest))
    monkeypatch.setattr(here._files, "pipe_file", pipe_file)
    here.refresh()
    assert versions(here.folder) == [("light", 1)]


def test_a_policy_is_changed_there_and_here_or_nowhere(here, bucket, monkeypatch):
    here.refresh()
    here.change_policy("light", Policy(), pinned=1)
    assert json.loads(bucket.cat_file("bucket/models/light/policy.json"))["pinned"] == 1

    def failing(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(here._files, "pipe_file", failing)
    with pytest.raises(MirrorError, match="cannot be written: Access Denied"):
        here.change_policy("light", Policy(), pinned=7)
    assert policy.read(here.folder / "light", Policy()).pinned == 1


def test_a_version_that_is_removed_there_is_none_here(here):
    here.refresh()
    here.publish("light", *_next(here))
    here.remove("light", 1)
    here.refresh()
    assert versions(here.folder) == [("light", 2)]


def _next(here):
    (found,) = repository.scan(here.folder)
    contents = repository.read(found)
    return contents.files, numbered(contents.manifest)


def test_who_may_not_write_is_told_before_any_work(here, bucket, monkeypatch):
    here.check_writable("light")
    assert [path for path in bucket.find("bucket") if "probe" in path] == []

    def failing(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(here._files, "pipe_file", failing)
    with pytest.raises(MirrorError, match="cannot be written: Access Denied"):
        here.check_writable("light")


# the service and its commands


def test_the_service_follows_a_bucket_survives_its_absence_and_is_told_by_commands(bucket, tmp_path, start, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    write_version(tmp_path / "models")
    upload(bucket, tmp_path / "models")
    server = start(models_dir=ADDRESS, remote_s=0.2)
    with server.client() as client:

        def answers(version):
            return lambda: client.get("/v1/models/light").json().get("version") == version

        assert answers(1)()
        write_version(tmp_path / "models", version=2)
        begun = time.monotonic()
        upload(bucket, tmp_path / "models")
        until(answers(2))
        took_s = time.monotonic() - begun
        command = [sys.executable, "-m", "service", "models", "rollback", "light"]
        environment = {**os.environ, "MODELYARD_MODELS_DIR": ADDRESS}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        until(answers(1))
        assert client.post("/v2/repository/models/light/unload", json={}).status_code == 200
        assert b"unloaded" in bucket.cat_file("bucket/models/light/policy.json")
        assert client.post("/v2/repository/models/light/load", json={}).status_code == 200
        bucket.rm("bucket/models", recursive=True)
        until(lambda: "there is nothing; what is here stays" in server.log.read_text())
        assert answers(1)()
        upload(bucket, tmp_path / "models")
        until(lambda: "the repository can be reached again" in server.log.read_text())
    assert took_s <= 10


@pytest.mark.parametrize("command", [[], ["models", "list"]])
def test_an_address_that_cannot_be_read_is_one_line(command, tmp_path):
    environment = {**os.environ, "MODELYARD_MODELS_DIR": "nowhere://x", "HOME": str(tmp_path), "MODELYARD_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "service", *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("modelyard: ")
    assert len(done.stderr.splitlines()) == 1
