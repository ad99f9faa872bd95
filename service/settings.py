"""The one reader of the environment: every `MODELYARD_*` variable, its default and its bounds.

Built once in `__main__` and handed down. Knows the words of an address; nothing else in the service reads the environment.
"""

import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service import address

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_PIN = r"[a-z0-9][a-z0-9_-]{0,63}=[1-9][0-9]{0,8}"
Pins = Annotated[str, Field(pattern=rf"^(none|{_PIN}(, ?{_PIN})*)$")]
Hosts = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]{1,255}(, ?[A-Za-z0-9.:\[\]-]{1,255})*$")]
Bytes = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """The service's settings. Each field is the variable `MODELYARD_<FIELD>`; its description stands in the README."""

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one and logs it")
    workers: int = Field(1, ge=1, le=256, description="processes that share the port")
    keys: Path | None = Field(
        None, description="file with the API keys (`python -m service keys`); without one none is asked for"
    )
    open: bool = Field(False, description="listen beyond this machine without keys; else the service refuses to")
    hosts: Hosts = Field(
        "auto",
        description="names in `Host` that are answered (400), such as `a.org`; `auto`: on loopback this machine's, else `any`",
    )
    threads: int = Field(0, ge=0, le=256, description="batches a model may run at once in one worker; 0: cores / workers")
    models_dir: address.Address = Field(
        "models", description="the repository, a folder or an address such as `s3://bucket/models`"
    )
    remote_s: Seconds = Field(2.0, description="seconds between two looks at a repository that is no folder here")
    provider: Literal["auto", "cpu", "cuda"] = Field("auto", description="where graphs run; `cuda` refuses to start without")
    gpu_memory_mb: int = Field(0, ge=0, description="megabytes of the GPU's memory that one graph may take; 0: what there is")
    gpu_graphs: bool = Field(False, description="record runs of fixed shapes as CUDA graphs; see `docs/gpu.md` before")
    gpu_fallback: Literal["auto", "on", "off"] = Field(
        "auto", description="graphs go on on the CPU where the GPU is lost; `auto`: unless `MODELYARD_PROVIDER` is `cuda`"
    )
    versions: Count = Field(2, description="how many of a model's newest good versions are served")
    pin: Pins = Field("none", description="versions that answer unless a policy says otherwise, such as `digits=3,oil=1`")
    reload_s: Seconds = Field(0.25, description="seconds between two looks at the repository")
    rehearse: bool = Field(True, description="check new versions in a process of their own, so that no request waits for it")
    rehearsal_s: Seconds = Field(60.0, description="seconds that such a check may take")
    retry_s: Seconds = Field(30.0, description="seconds before a refused version is tried again")
    drift_window_s: Seconds = Field(3600.0, description="seconds of live requests that are compared with the training data")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    access_log: bool = Field(True, description="one log line a request")

    max_body_bytes: Bytes = Field(10 * 2**20, description="request body (413)")
    max_header_bytes: Bytes = Field(32 * 2**10, description="request line and headers together (431)")
    max_header_count: Count = Field(100, description="headers of one request (431)")
    max_uri_bytes: Bytes = Field(8 * 2**10, description="path and query (414)")
    header_timeout_s: Seconds = Field(10.0, description="seconds to send the headers (408)")
    body_timeout_s: Seconds = Field(30.0, description="seconds to send the body (408), and to read an answer")
    keep_alive_s: Count = Field(15, description="seconds an idle connection is kept")
    max_connections: Count = Field(1000, description="open connections per worker (503)")
    max_json_depth: Count = Field(64, description="nesting of a JSON body (400)")
    max_form_fields: int = Field(8, ge=0, description="fields of a form beside its files (400)")
    max_items: Count = Field(32, description="pictures, texts or codes in one request (413)")
    max_rows: Count = Field(1024, description="rows of one tensor request (413)")
    max_rank: Count = Field(8, description="axes of one tensor (400)")
    max_elements: Count = Field(4_000_000, description="numbers in one tensor (413)")
    max_pixels: Count = Field(16_000_000, description="pixels of one picture (413)")
    max_side: Count = Field(20_000, description="longest side of one picture, in pixels (413)")
    max_chars: Count = Field(500_000, description="characters of one text (413)")
    max_words: Count = Field(256, description="words or pairs of words in one request (413)")
    max_points: Count = Field(100_000, description="numbers in one series (413)")
    max_batch: Count = Field(64, description="rows computed together")
    max_padded: Count = Field(16_384, description="rows computed together times the longest of them, for texts and the like")
    max_queue: Count = Field(1024, description="rows waiting per model (503)")
    max_queue_s: Seconds = Field(1.0, description="seconds a row may wait (503); a quarter where the queue never empties")
    deadline_s: Seconds = Field(30.0, description="seconds one request may take (504)")
    drain_delay_s: float = Field(2.0, ge=0, description="seconds between 'not ready' and the closed port, after SIGTERM")
    drain_s: Seconds = Field(25.0, description="seconds that requests in flight have to finish, after that")

    @property
    def is_remote(self) -> bool:
        """Whether the repository is no folder of this machine."""
        return address.is_remote(self.models_dir)

    @property
    def repository(self) -> Path:
        """The folder of the repository, or where one that lies elsewhere is kept here."""
        return address.folder(self.models_dir)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def allowed_hosts(self) -> frozenset[bytes] | None:
        """`hosts` in lower case; None for any. On loopback the default keeps out other sites' pages in a browser here."""
        if self.hosts == "any" or (self.hosts == "auto" and not self.is_loopback):
            return None
        own = f"[{self.host}]" if ":" in self.host else self.host
        named = ["localhost", "127.0.0.1", "[::1]", own] if self.hosts == "auto" else self.hosts.split(",")
        return frozenset(one.strip().lower().encode() for one in named)

    @property
    def pins(self) -> dict[str, int]:
        """`pin` as versions by model."""
        named = [] if self.pin == "none" else [one.strip().split("=") for one in self.pin.split(",")]
        return {name: int(version) for name, version in named}

    @property
    def falls_back(self) -> bool:
        """Whether graphs go on on the CPU where the GPU is lost."""
        return self.gpu_fallback == "on" or (self.gpu_fallback == "auto" and self.provider == "auto")

    @property
    def slots(self) -> int:
        """Batches that one model may run at the same time in this worker."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.workers)


def share_metrics(folder: str) -> None:
    """Make the processes that this one starts write their metrics to `folder`, where any of them can sum them up."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # noqa: TID251 - this is the module that the rule names


def shares_metrics() -> bool:
    """Whether this process is one of several that share their metrics."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ  # noqa: TID251 - this is the module that the rule names


def shared_folder() -> Path | None:
    """Where processes that share a port can leave each other word; None for one alone."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - this is the module that the rule names
    return Path(folder) / "agreement" if folder else None


def colours() -> bool:
    """Whether a person is reading the log on a terminal."""
    return sys.stderr.isatty()
