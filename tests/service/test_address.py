"""Folders and addresses."""

from pathlib import Path

from service import address
from service.settings import Settings
from training.settings import Settings as TrainingSettings


def test_a_folder_is_itself():
    assert not address.is_remote("models")
    assert address.folder("/srv/models") == Path("/srv/models")
    assert Settings(models_dir=Path("here")).repository == Path("here")


def test_an_address_is_kept_in_one_folder_of_its_own_by_both_sides():
    kept = address.folder("s3://bucket/models")
    assert address.folder("s3://bucket/models/") == kept != address.folder("s3://bucket/other")
    assert (
        Settings(models_dir="s3://bucket/models").repository
        == TrainingSettings(models_dir="s3://bucket/models").repository
        == kept
    )
