"""One typed Settings object, read once from the environment; `os.environ` is read nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.access.limits import Limits
from core.operator_defaults import MAX_OVERLAP, MAX_SHIFTS, MIN_OVERLAP, OperatorDefaults, check_separator
from core.outbound.addresses import Network, parse_networks
from core.sources.location import Location, parse_sources
from core.webhooks.signing import key_of

GIB = 1024**3

_SECRETS = (
    "LIMPID_DATABASE_URL",
    "LIMPID_BROKER_URL",
    "LIMPID_S3_ACCESS_KEY",
    "LIMPID_S3_SECRET_KEY",
    "LIMPID_WEBHOOK_SECRET",
    "LIMPID_WEBHOOK_PREVIOUS_SECRETS",
)

_SERVERS = ("database_url", "broker_url", "s3_endpoint", "s3_public_endpoint")
"""Each unset: a part of the embedded stack, in the data folder."""

_CUSTOMERS_NAMES = ("DEMUCS_MODEL", "USE_FLOAT32", "DEMUCS_OVERLAP", "DEMUCS_SHIFTS")


class Settings(BaseSettings):
    """Configuration of every process. `LIMPID_<NAME>` sets a field; `LIMPID_<NAME>_FILE` reads a secret from a file.

    With nothing set this is the embedded stack: SQLite, a folder as broker and a folder as object store, all below
    `data_dir`.
    """

    model_config = SettingsConfigDict(
        env_prefix="LIMPID_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a mistyped secret must not end up in a log
    )

    data_dir: Path = Path("limpid-data")
    models_dir: Path | None = None  # None: data_dir/models
    scratch_dir: Path | None = None  # None: data_dir/scratch
    web_dir: Path | None = None  # the built page; None: web/dist beside the packages
    database_url: SecretStr | None = None  # None: SQLite in data_dir
    broker_url: SecretStr | None = None  # None: filesystem:// in data_dir/broker

    s3_endpoint: str | None = None  # None: local folder data_dir/objects
    s3_public_endpoint: str | None = None  # as clients reach it; None: the same as s3_endpoint
    s3_bucket: str = "limpid"
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_cors_origins: Annotated[tuple[str, ...], NoDecode] = ()  # pages that may use presigned URLs; set by `migrate`

    lease_s: float = Field(default=60.0, gt=0)  # a run whose heartbeat is older than this may be taken over
    stall_s: float = Field(default=900.0, gt=0)  # a run without progress for so long lets its lease expire
    time_limit_factor: float = Field(default=20.0, ge=1)  # a run may take so many times its estimate
    time_limit_min_s: float = Field(default=1800.0, gt=0)  # and never less than this
    max_attempts: int = Field(default=3, ge=1, le=20)
    resend_after_s: float = Field(default=30.0, gt=0)  # a job still queued then is sent again; doubles each time
    sweep_interval_s: float = Field(default=10.0, gt=0)
    progress_interval_s: float = Field(default=1.0, gt=0)  # progress is written at most this often

    max_upload_bytes: int = Field(default=5 * GIB, gt=0)
    max_duration_s: float = Field(default=24 * 3600.0, gt=0)
    upload_lifetime_s: float = Field(default=86400.0, gt=0)  # an upload in parts that is not used by then is removed
    retention_s: float = Field(default=7 * 86400.0, gt=0)  # files are kept for this long after the end

    auth: Literal["on", "off"] = "off"  # off: no API key is asked for, and the API listens on loopback only
    key_max_running: int | None = Field(default=None, ge=1)  # jobs of one API key at a time; the others wait
    key_max_queued: int | None = Field(default=None, ge=1)  # jobs of one API key that may wait
    key_max_bytes_per_day: int | None = Field(default=None, ge=1)  # of its recordings, in any 24 hours
    allow_insecure: bool = False  # listen anywhere with auth off; for where something else keeps strangers out

    webhook_secret: SecretStr | None = None  # whsec_…; signs events
    webhook_previous_secrets: SecretStr | None = None  # several, separated by commas: sign beside it while it changes
    webhook_allow: Annotated[tuple[Network, ...], NoDecode] = ()  # may be reached by URLs although not public; CIDR
    batch_sources: Annotated[tuple[Location, ...], NoDecode] = ()  # s3:// prefixes that batches may be made of
    fetch_timeout_s: float = Field(default=1800.0, gt=0)  # for an input by URL, from the first byte to the last

    worker_max_jobs: int = Field(default=200, ge=1)  # a CPU worker's process is replaced after so many tasks
    worker_max_memory_mb: int | None = Field(default=None, ge=64)  # or after a task that took more (MiB resident)
    model_cache_size: int = Field(default=2, ge=1)  # engines that one worker process keeps loaded
    device: Literal["cpu", "gpu"] = "cpu"  # the queue that new jobs go to
    torch_num_threads: int | None = Field(default=None, ge=1)  # of a job; None: core.enhancement.threads measures
    demucs_model: str | None = Field(default=None, validation_alias="DEMUCS_MODEL")
    demucs_shifts: int | None = Field(default=None, ge=0, le=MAX_SHIFTS, validation_alias="DEMUCS_SHIFTS")
    demucs_overlap: float | None = Field(
        default=None, ge=MIN_OVERLAP, le=MAX_OVERLAP, validation_alias="DEMUCS_OVERLAP"
    )
    use_float32: bool | None = Field(default=None, validation_alias="USE_FLOAT32")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    metrics_port: int | None = Field(default=None, ge=1, le=65535)  # of a worker's /metrics; None: it has none
    metrics_host: str = "127.0.0.1"  # where a worker's /metrics listens
    metrics_public: bool = False  # with auth on, the API's /metrics asks for a key with the scope `metrics`, unless set
    tracing: Literal["on", "off"] = "off"  # on: spans go where OTEL_EXPORTER_OTLP_ENDPOINT says; needs the extra `otel`

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in _SECRETS:
            path = os.environ.get(f"{name}_FILE")
            field = name.removeprefix("LIMPID_").lower()
            if path and not values.get(field):
                values[field] = Path(path).read_text(encoding="utf-8").strip()
        threads = os.environ.get("TORCH_NUM_THREADS")  # the customer's name for it
        if threads and "torch_num_threads" not in values:
            values["torch_num_threads"] = threads
        return values

    @field_validator(*_SERVERS, "demucs_model", "demucs_shifts", "demucs_overlap", "use_float32", mode="before")
    @classmethod
    def _read_empty_as_unset(cls, value: object) -> object:
        return None if value == "" else value  # what Compose makes of a variable that is not there

    @field_validator("demucs_model")
    @classmethod
    def _check_demucs_model(cls, value: str | None) -> str | None:
        return None if value is None else check_separator(value)

    @field_validator("s3_cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())

    @field_validator("webhook_allow", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        return parse_networks(value.split(",")) if isinstance(value, str) else value

    @field_validator("batch_sources", mode="before")
    @classmethod
    def _split_sources(cls, value: object) -> object:
        return parse_sources(value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_batch_sources(self) -> Self:
        for source in self.batch_sources:
            if source.reaches_reserved(self.s3_bucket):
                raise ValueError(f"LIMPID_BATCH_SOURCES: {source.url} would reach what Limpid itself stores.")
        return self

    @model_validator(mode="after")
    def _check_webhook_secrets(self) -> Self:
        for secret in self.webhook_secrets:
            key_of(secret)
        return self

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign events, the current one first; none when none is configured."""
        given = [secret.get_secret_value() for secret in (self.webhook_secret, self.webhook_previous_secrets) if secret]
        return tuple(part.strip() for part in ",".join(given).split(",") if part.strip())

    @property
    def resolved_web_dir(self) -> Path:
        """Where the built page is looked for; it need not be there."""
        return self.web_dir or Path(__file__).parents[1] / "web" / "dist"

    @property
    def operator_defaults(self) -> OperatorDefaults:
        """What the operator has chosen for the htdemucs presets."""
        return OperatorDefaults(
            model=self.demucs_model,
            shifts=self.demucs_shifts,
            overlap=self.demucs_overlap,
            has_float_output=self.use_float32,
        )

    @property
    def key_limits(self) -> Limits:
        """What each API key may use."""
        return Limits(
            running=self.key_max_running, queued=self.key_max_queued, bytes_per_day=self.key_max_bytes_per_day
        )

    @property
    def servers(self) -> tuple[str, ...]:
        """Names of the fields that say where a server is."""
        return tuple(name for name in _SERVERS if getattr(self, name) is not None)

    def without_servers(self) -> Settings:
        """These settings for the embedded stack: database, broker and objects in the data folder."""
        return self.model_copy(update=dict.fromkeys(_SERVERS))

    @property
    def resolved_database_url(self) -> str:
        """SQLAlchemy URL."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'limpid.sqlite3'}"

    @property
    def resolved_broker_url(self) -> str:
        """Kombu URL."""
        return "filesystem://" if self.broker_url is None else self.broker_url.get_secret_value()

    @property
    def broker_dir(self) -> Path:
        """Where the `filesystem://` broker keeps its messages."""
        return self.data_dir.resolve() / "broker"

    @property
    def objects_dir(self) -> Path:
        """Where the local object store keeps its files."""
        return self.data_dir.resolve() / "objects"

    @property
    def resolved_models_dir(self) -> Path:
        """Where `limpid models pull` puts weights."""
        return (self.models_dir or self.data_dir / "models").resolve()

    @property
    def resolved_scratch_dir(self) -> Path:
        """Where runs keep their scratch files."""
        return (self.scratch_dir or self.data_dir / "scratch").resolve()


def environment_without_servers() -> dict[str, str]:
    """This process's environment for those of the embedded stack; a `.env` file cannot name servers either."""
    variables = [variable_of(name) for name in _SERVERS]
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in variables}
    return kept | dict.fromkeys(variables, "")


def variable_of(field: str) -> str:
    """The environment variable of a field of Settings, as a validation error names it."""
    return field if field in _CUSTOMERS_NAMES else f"LIMPID_{field.upper()}"
