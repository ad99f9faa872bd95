"""The one reader of the environment on this side: where versions, data and runs are. Knows nothing else.

`MODELYARD_MODELS_DIR` is the same variable that the service reads.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Folders; each command's options of the same name come before them."""

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", frozen=True, extra="ignore")

    models_dir: Path = Field(Path("models"), description="where versions are published")
    data_dir: Path | None = Field(None, description="data sets that are already there, instead of downloading them")
    cache_dir: Path | None = Field(None, description="where downloads are kept; the user's cache folder by default")
    runs_dir: Path = Field(Path("runs"), description="where runs leave their metrics, checkpoints and pictures")
