"""The concrete parts behind the ports, as the settings choose them. Used where a process is put together."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Engine

from core.access.keys import KeyRepository
from core.access.keys_sql import SqlKeyRepository
from core.access.limits import UsageRepository
from core.access.usage_sql import SqlUsageRepository
from core.batches.batch import BatchRepository
from core.batches.repository_sql import SqlBatchRepository
from core.celery_config import make_celery, prepare_broker
from core.database import create_engine_for, migrate
from core.estimation.history import RunHistory
from core.estimation.history_sql import SqlRunHistory
from core.estimation.queue_load import QueueLoads
from core.estimation.queue_load_sql import SqlQueueLoads
from core.fleet.fleet_sql import SqlFleet
from core.fleet.installed import InstalledModels
from core.idempotency import IdempotencyRepository
from core.idempotency_sql import SqlIdempotencyRepository
from core.job_desk import JobDesk
from core.monitoring.census import CensusTaker
from core.monitoring.census_sql import SqlCensusTaker
from core.outbound.client import OutboundClient
from core.queue import JobQueue
from core.queue_celery import CeleryJobQueue
from core.repository_sql import SqlJobRepository
from core.settings import Settings
from core.sources.source import Sources
from core.storage import ObjectStore
from core.storage_local import LocalObjectStore
from core.storage_s3 import S3ObjectStore
from core.uploads.parts_stored import StoredParts
from core.uploads.services import UploadDesk
from core.uploads.upload_sql import SqlUploadRepository
from core.webhooks.outbox_sql import SqlOutbox


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What a process needs from outside. `jobs` is a JobRepository, RunRepository and RetentionRepository;
    `deliveries` is a DeliveryLog and DeliveryQueue, `fleet` a WorkerRegistry and QueueStates."""

    store: ObjectStore
    jobs: SqlJobRepository
    queue: JobQueue
    keys: KeyRepository
    idempotency: IdempotencyRepository
    uploads: UploadDesk
    usage: UsageRepository
    batches: BatchRepository
    history: RunHistory
    loads: QueueLoads
    deliveries: SqlOutbox
    fleet: SqlFleet
    installed: InstalledModels
    census: CensusTaker
    outbound: OutboundClient
    sources: Sources
    engine: Engine | None = None  # None for parts that need no database

    def job_desk(self, settings: Settings) -> JobDesk:
        """What makes jobs of recordings on this server."""
        return JobDesk(
            store=self.store,
            jobs=self.jobs,
            queue=self.queue,
            outbound=self.outbound,
            settings=settings,
            installed=self.installed,
        )

    def close(self) -> None:
        """Close the database's idle connections; for who opens a backend and goes on without it."""
        if self.engine is not None:
            self.engine.dispose()


def open_backend(settings: Settings) -> Backend:
    """The configured parts. Nothing connects yet, so that a process can start before its servers do."""
    prepare_broker(settings)
    engine = create_engine_for(settings)
    store = open_store(settings)
    parts = store.parts() if isinstance(store, S3ObjectStore) else StoredParts(store)
    fleet = SqlFleet(engine, key_max_running=settings.key_max_running)
    return Backend(
        store=store,
        jobs=SqlJobRepository(
            engine,
            max_attempts=settings.max_attempts,
            resend_after_s=settings.resend_after_s,
            retention_s=settings.retention_s,
            key_max_running=settings.key_max_running,
            key_limits=settings.key_limits,
            has_server_clock=engine.dialect.name == "postgresql",
        ),
        queue=CeleryJobQueue(make_celery(settings)),
        keys=SqlKeyRepository(engine),
        idempotency=SqlIdempotencyRepository(engine),
        usage=SqlUsageRepository(engine),
        uploads=UploadDesk(uploads=SqlUploadRepository(engine), parts=parts, store=store),
        batches=SqlBatchRepository(engine, retention_s=settings.retention_s),
        history=SqlRunHistory(engine),
        loads=SqlQueueLoads(engine),
        deliveries=SqlOutbox(engine),
        census=SqlCensusTaker(engine),
        fleet=fleet,
        installed=InstalledModels(fleet, settings=settings),
        outbound=OutboundClient(allow=settings.webhook_allow),
        sources=Sources(
            store.source() if isinstance(store, S3ObjectStore) else None,
            allowed=settings.batch_sources,
            own_bucket=settings.s3_bucket,
        ),
        engine=engine,
    )


def prepare_backend(settings: Settings) -> None:
    """Bring the database to the newest schema, and make the bucket or folders that are missing. Safe to repeat.

    Run once before the processes start; StorageError when a server does not answer.
    """
    migrate(settings.resolved_database_url)
    prepare_broker(settings)
    store = open_store(settings)
    if isinstance(store, S3ObjectStore):
        store.ensure_bucket()
        if settings.s3_cors_origins:
            store.allow_origins(settings.s3_cors_origins)
    store.check()


def open_store(settings: Settings) -> ObjectStore:
    """S3 where an endpoint is configured, else the local folder."""
    if settings.s3_endpoint is None:
        return LocalObjectStore(settings.objects_dir)
    return S3ObjectStore(
        settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        public_endpoint=settings.s3_public_endpoint,
        region=settings.s3_region,
        access_key=_revealed(settings.s3_access_key),
        secret_key=_revealed(settings.s3_secret_key),
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
