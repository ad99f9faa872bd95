"""The one reader of the environment on this side: where versions, data and runs are. Knows nothing else.

`MODELYARD_MODELS_DIR` is the same variable that the service reads: a folder, or an address such as `s3://bucket/models`.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service import address


class Settings(BaseSettings):
    """Folders; each command's options of the same name come before them."""

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", frozen=True, extra="ignore")

    models_dir: address.Address = Field("models", description="where versions are published")
    data_dir: Path | None = Field(None, description="data sets that are already there, instead of downloading them")
    cache_dir: Path | None = Field(None, description="where downloads are kept; the user's cache folder by default")
    runs_dir: Path = Field(Path("runs"), description="where runs leave their metrics, checkpoints and pictures")

    @property
    def is_remote(self) -> bool:
        """Whether versions are published to somewhere else than a folder of this machine."""
        return address.is_remote(self.models_dir)

    @property
    def repository(self) -> Path:
        """The folder of the repository, or where one that lies elsewhere is kept here: the same as the service's."""
        return address.folder(self.models_dir)


def at(models_dir: str | None) -> Settings:
    """With versions there; as the environment says where nothing is given."""
    return Settings().model_copy(update={"models_dir": models_dir} if models_dir else {})
