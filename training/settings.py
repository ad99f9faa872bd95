"""The one reader of the environment on this side: where versions, data and runs are. Knows nothing else.

`MODELYARD_MODELS_DIR` is the same variable that the service reads: a folder, or an address such as `s3://bucket/models`.
"""

import hashlib
import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Address = Annotated[str, BeforeValidator(lambda given: os.fspath(given) if isinstance(given, os.PathLike) else given)]


class Settings(BaseSettings):
    """Folders; each command's options of the same name come before them."""

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", frozen=True, extra="ignore")

    models_dir: Address = Field("models", description="where versions are published")
    data_dir: Path | None = Field(None, description="data sets that are already there, instead of downloading them")
    cache_dir: Path | None = Field(None, description="where downloads are kept; the user's cache folder by default")
    runs_dir: Path = Field(Path("runs"), description="where runs leave their metrics, checkpoints and pictures")

    @property
    def is_remote(self) -> bool:
        """Whether versions are published to somewhere else than a folder of this machine."""
        return "://" in self.models_dir

    @property
    def repository(self) -> Path:
        """The folder of the repository, or where one that lies elsewhere is kept here: the same as the service's."""
        if not self.is_remote:
            return Path(self.models_dir)
        named = hashlib.sha256(self.models_dir.rstrip("/").encode()).hexdigest()[:16]
        return Path.home() / ".cache" / "modelyard" / "repositories" / named


def at(models_dir: str | None) -> Settings:
    """With versions there; as the environment says where nothing is given."""
    return Settings().model_copy(update={"models_dir": models_dir} if models_dir else {})
