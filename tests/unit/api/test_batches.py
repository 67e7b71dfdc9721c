"""Batches over HTTP: taken in whole or not at all but for what is wrong with single recordings, and told honestly."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import batch_intake
from api.main import create_app
from core.backend import Backend
from core.batches.batch import MAX_ITEMS
from core.errors import LimitReached, StorageError
from core.ids import new_id
from core.jobs import JobStatus, Lane
from core.settings import Settings
from tests.access_fakes import FakeIdempotencyRepository, FakeKeyRepository
from tests.batch_fakes import FakeBatchRepository
from tests.fakes import PRIVATE_NAME, FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import START, advance, fail, finish, start
from tests.unit.api.recordings import wav
from tests.unit.api.test_auth import key_of
from tests.unit.api.test_submit import form
from tests.unit.api.test_uploads import upload_whole

BATCHES = "/api/v1/batches"
JOBS = "/api/v1/jobs"
FILES = [(f"talk-{number}.wav", wav(0.5 + number)) for number in range(3)]
TEXT = ("notes.txt", b"words, not sound. " * 50)


@pytest.fixture
def server(settings: Settings, backend: Backend) -> TestClient:
    """A server that asks for keys."""
    return TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend), raise_server_exceptions=False)


def post_files(
    client: TestClient,
    *files: tuple[str, bytes],
    headers: dict[str, str] | None = None,
    **options: Any,  # noqa: ANN401 - JSON
) -> Any:  # noqa: ANN401 - a response
    data = {"preset": "clean-only", "options": json.dumps(options)}
    return client.post(BATCHES, files=[("file", file) for file in files], data=data, headers=headers)


def post_items(client: TestClient, *items: dict[str, Any], **more: Any) -> Any:  # noqa: ANN401
    return client.post(BATCHES, json={"preset": "clean-only", "items": list(items), **more})


def url_item(number: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"input": {"url": f"https://example.com/{number}.ogg"}, **more}


def submitted(client: TestClient, *files: tuple[str, bytes], **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """A batch of these files, or of FILES."""
    response = post_files(client, *(files or FILES), **options)
    assert response.status_code == 202, response.text
    told: dict[str, Any] = response.json()
    return told


def get(client: TestClient, batch: dict[str, Any]) -> dict[str, Any]:
    response = client.get(batch["links"]["self"])
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def job_ids(batch: dict[str, Any]) -> list[str]:
    return [item["job_id"] for item in batch["items"]]


def succeed(
    jobs: FakeJobRepository, store: FakeObjectStore, job_id: str, files: dict[str, bytes] | None = None
) -> None:
    finish(jobs, store, start(jobs, job_id), files or {f"{job_id}.wav": job_id.encode()})


class TestForm:
    def test_each_file_becomes_a_job_of_the_bulk_lane(
        self, client: TestClient, jobs: FakeJobRepository, queue: FakeJobQueue, store: FakeObjectStore
    ) -> None:
        response = post_files(client, *FILES, metadata={"show": 1})

        batch = response.json()
        assert response.status_code == 202
        assert response.headers["Location"] == f"{BATCHES}/{batch['id']}" == batch["links"]["self"]
        assert int(response.headers["Retry-After"]) >= 1
        assert [(item["name"], item["status"], item["position"]) for item in batch["items"]] == [
            (name, "queued", position) for position, (name, _) in enumerate(FILES)
        ]
        found = [jobs.get(job_id) for job_id in job_ids(batch)]
        assert [store.objects[job.input.key] for job in found] == [data for _, data in FILES]
        assert {(job.lane, job.preset, job.metadata["show"]) for job in found} == {(Lane.BULK, "clean-only", 1)}
        assert [job.batch.position for job in found if job.batch] == [0, 1, 2]
        assert len(queue.sent) == 3

    def test_fields_may_follow_the_files(self, client: TestClient, jobs: FakeJobRepository) -> None:
        body, headers = form(
            ("file", "a.wav", wav()), ("preset", None, b"clean-only"), ("options", None, b'{"lane": "interactive"}')
        )

        response = client.post(BATCHES, content=body, headers=headers)

        assert response.status_code == 202, response.text
        assert jobs.get(response.json()["items"][0]["job_id"]).lane is Lane.INTERACTIVE

    def test_one_bad_file_fails_alone(self, client: TestClient, store: FakeObjectStore) -> None:
        batch = submitted(client, FILES[0], TEXT, ("empty.wav", b""), FILES[1])

        assert [item["status"] for item in batch["items"]] == ["queued", "failed", "failed", "queued"]
        assert [item["name"] for item in batch["items"]] == ["talk-0.wav", "notes.txt", "empty.wav", "talk-1.wav"]
        assert batch["items"][1]["job_id"] is None
        assert batch["items"][1]["error"]["code"] == "unsupported_media"
        assert "0 bytes" in batch["items"][2]["error"]["detail"]
        assert (batch["status"], batch["counts"]["failed"], batch["counts"]["queued"]) == ("running", 2, 2)
        assert len(store.objects) == 2
        assert get(client, batch) == batch

    def test_batch_of_bad_files_has_failed(self, client: TestClient, store: FakeObjectStore) -> None:
        batch = submitted(client, TEXT)

        assert (batch["status"], batch["progress"]["fraction"]) == ("failed", 1.0)
        assert batch["links"]["cancel"] is None
        assert not store.objects

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"overrides": {"loudness": 1}}, "invalid_options"),
            ({"dedupe": True}, "invalid_options"),
            ({"preset": "speech"}, "invalid_options"),
        ],
    )
    def test_wrong_options_refuse_the_whole(
        self, client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository, options: dict[str, Any], code: str
    ) -> None:
        response = post_files(client, *FILES, **options)

        assert (response.status_code, response.json()["code"]) == (422, code)
        assert (store.objects, jobs.every()) == ({}, [])

    def test_body_that_breaks_off_leaves_nothing(
        self, client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository
    ) -> None:
        body, headers = form(("file", "a.wav", wav()), ("file", "b.wav", wav()), closing=b"")

        response = client.post(BATCHES, content=body, headers=headers)

        assert (response.status_code, response.json()["code"]) == (400, "invalid_input")
        assert (store.objects, jobs.every()) == ({}, [])

    def test_all_files_together_may_be_as_large_as_one(self, client: TestClient, store: FakeObjectStore) -> None:
        third = wav(50.0)  # 1.6 MB of the 4 MB that the settings allow

        response = post_files(client, *[(f"{number}.wav", third) for number in range(4)])

        assert (response.status_code, response.json()["code"]) == (413, "input_too_large")
        assert not store.objects

    def test_more_files_than_the_limit_are_refused(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch, store: FakeObjectStore
    ) -> None:
        monkeypatch.setattr(batch_intake, "MAX_ITEMS", 2)

        response = post_files(client, *FILES)

        assert response.status_code == 400
        assert "limit of 2" in response.json()["detail"]
        assert not store.objects

    def test_form_without_a_file_is_refused(self, client: TestClient) -> None:
        body, headers = form(("preset", None, b"clean-only"))

        assert client.post(BATCHES, content=body, headers=headers).status_code == 400

    def test_other_bodies_are_refused(self, client: TestClient) -> None:
        response = client.post(BATCHES, content=wav(), headers={"Content-Type": "audio/wav"})

        assert (response.status_code, response.json()["code"]) == (415, "unsupported_media")

    def test_fault_on_the_way_cancels_what_was_made(
        self,
        client: TestClient,
        jobs: FakeJobRepository,
        store: FakeObjectStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        add = jobs.add

        def fail_on_the_third(job: Any) -> None:  # noqa: ANN401
            if len(jobs.every()) == 2:
                raise StorageError("The database did not answer.")
            add(job)

        monkeypatch.setattr(jobs, "add", fail_on_the_third)

        response = post_files(client, *FILES)

        made = jobs.every()
        assert response.status_code == 503
        assert [job.status for job in made] == [JobStatus.CANCELLED] * 2
        assert set(store.objects) == {job.input.key for job in made}  # theirs until they expire


class TestItems:
    def test_recordings_elsewhere_become_jobs_with_their_own_settings(
        self, client: TestClient, jobs: FakeJobRepository
    ) -> None:
        response = post_items(
            client,
            url_item(0),
            url_item(1, overrides={"strength": 0.25}, metadata={"n": 1}),
            url_item(2, outputs=[{"format": "flac"}]),
            overrides={"strength": 0.5},
            metadata={"n": 0},
        )

        assert response.status_code == 202, response.text
        found = [jobs.get(job_id) for job_id in job_ids(response.json())]
        assert [job.input.url for job in found] == [f"https://example.com/{number}.ogg" for number in range(3)]
        assert [job.options["strength"] for job in found] == [0.5, 0.25, 0.5]
        assert [job.metadata["n"] for job in found] == [0, 1, 0]
        assert found[2].options["outputs"][0]["format"] == "flac"
        assert {job.lane for job in found} == {Lane.BULK}

    def test_uploads_keep_the_order_of_the_request(self, client: TestClient) -> None:
        first, second = upload_whole(client), upload_whole(client)

        batch = post_items(client, {"input": {"upload_id": second}}, {"input": {"upload_id": first}}).json()

        assert job_ids(batch) == [second, first]

    def test_item_that_cannot_be_had_fails_alone(self, client: TestClient) -> None:
        unknown = {"input": {"upload_id": new_id()}}
        private = {"input": {"url": f"http://{PRIVATE_NAME}/a.wav"}}

        batch = post_items(client, unknown, url_item(1), private).json()

        assert [(item["status"], (item["error"] or {}).get("code")) for item in batch["items"]] == [
            ("failed", "not_found"),
            ("queued", None),
            ("failed", "forbidden_url"),
        ]
        assert batch["items"][2]["name"] == "a.wav"

    @pytest.mark.parametrize(
        "body",
        [
            {"items": []},
            {"items": [url_item(0)] * (MAX_ITEMS + 1)},
            {"items": [{"input": {}}]},
            {"items": [url_item(0, lane="bulk")]},
            {"items": "all"},
            {},
        ],
        ids=["none", "too many", "no input", "unknown setting", "no list", "missing"],
    )
    def test_wrong_list_is_refused(self, client: TestClient, jobs: FakeJobRepository, body: dict[str, Any]) -> None:
        response = client.post(BATCHES, json={"preset": "clean-only", **body})

        assert (response.status_code, response.json()["code"]) == (422, "invalid_options")
        assert not jobs.every()

    def test_wrong_setting_of_one_item_refuses_the_whole_and_names_it(
        self, client: TestClient, jobs: FakeJobRepository
    ) -> None:
        response = post_items(client, url_item(0), url_item(1), url_item(2, preset="loud"))

        assert (response.status_code, response.json()["code"]) == (422, "unknown_preset")
        assert response.json()["detail"].startswith("Item 2: ")
        assert not jobs.every()

    def test_list_that_is_too_long_to_read_is_refused(self, client: TestClient) -> None:
        response = client.post(BATCHES, content=b" " * 2**20 + b"{}", headers={"Content-Type": "application/json"})

        assert response.status_code == 413


class TestFollow:
    def test_batch_tells_of_its_jobs(self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
        batch = submitted(client, *[(name, wav(1.0)) for name, _ in FILES])
        first, second, third = job_ids(batch)
        succeed(jobs, store, first)
        advance(jobs, start(jobs, second), fraction=0.5)

        response = client.get(batch["links"]["self"])

        told = response.json()
        assert "Retry-After" in response.headers
        assert told["status"] == "running"
        assert told["progress"] == {"fraction": pytest.approx(0.5), "ended": 1, "total": 3}
        assert told["counts"] == {
            "queued": 1,
            "running": 1,
            "cancelling": 0,
            "succeeded": 1,
            "failed": 0,
            "cancelled": 0,
        }
        assert [item["fraction"] for item in told["items"]] == [1.0, 0.5, 0.0]
        assert told["items"][2]["href"] == f"{JOBS}/{third}"

    @pytest.mark.parametrize(
        ("outcomes", "status"), [("ss", "succeeded"), ("sf", "partially_succeeded"), ("ff", "failed")]
    )
    def test_status_says_how_much_succeeded(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, outcomes: str, status: str
    ) -> None:
        batch = submitted(client, *FILES[:2])
        for job_id, outcome in zip(job_ids(batch), outcomes, strict=True):
            if outcome == "s":
                succeed(jobs, store, job_id)
            else:
                fail(jobs, start(jobs, job_id), code="invalid_audio")

        response = client.get(batch["links"]["self"])

        assert response.json()["status"] == status
        assert "Retry-After" not in response.headers
        assert response.json()["links"]["archive"] == f"{BATCHES}/{batch['id']}/archive.zip"

    def test_jobs_name_their_batch_and_are_listed_by_it(self, client: TestClient) -> None:
        batch, other = submitted(client), submitted(client)

        listed = client.get(batch["links"]["jobs"]).json()["jobs"]

        assert [job["id"] for job in reversed(listed)] == job_ids(batch)
        assert {job["batch_id"] for job in listed} == {batch["id"]}
        assert client.get(JOBS, params={"batch": other["id"], "limit": 2}).json()["next_cursor"]

    def test_deleted_job_stays_in_its_batch_without_its_name(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        batch = submitted(client, *FILES[:1])
        succeed(jobs, store, job_ids(batch)[0])
        client.delete(f"{JOBS}/{job_ids(batch)[0]}")

        (item,) = get(client, batch)["items"]

        assert (item["name"], item["is_deleted"], item["status"]) == ("", True, "succeeded")

    @pytest.mark.parametrize("batch_id", ["0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "x", "..", "%00"])
    @pytest.mark.parametrize("what", ["", "/manifest", "/archive.zip"])
    def test_unknown_batch_is_not_found(self, client: TestClient, batch_id: str, what: str) -> None:
        assert client.get(f"{BATCHES}/{batch_id}{what}").status_code == 404

    def test_batch_is_its_keys_own(self, server: TestClient, keys: FakeKeyRepository) -> None:
        mine, others = key_of(keys), key_of(keys)
        batch = post_files(server, *FILES, headers=mine).json()
        href = batch["links"]["self"]

        assert server.get(href, headers=mine).status_code == 200
        for path in (href, f"{href}/manifest", f"{href}/archive.zip"):
            assert server.get(path, headers=others).status_code == 404
        assert server.post(f"{href}/cancel", headers=others).status_code == 404
        assert server.get(href).status_code == 401
        assert server.get(JOBS, params={"batch": batch["id"]}, headers=others).json()["jobs"] == []


class TestLimits:
    @pytest.fixture
    def limited(self, settings: Settings, backend: Backend) -> TestClient:
        """A server that asks for keys, each of which may have two jobs waiting."""
        strict = settings.model_copy(update={"auth": "on", "key_max_queued": 2})
        return TestClient(create_app(strict, backend), raise_server_exceptions=False)

    def test_items_beyond_the_limit_fail_and_leave_nothing(
        self, limited: TestClient, keys: FakeKeyRepository, store: FakeObjectStore
    ) -> None:
        mine = key_of(keys)

        response = post_files(limited, *FILES, headers=mine)

        assert response.status_code == 202, response.text
        assert [item["status"] for item in response.json()["items"]] == ["queued", "queued", "failed"]
        assert response.json()["items"][2]["error"]["code"] == LimitReached.code
        assert len(store.objects) == 2
        assert "RateLimit" in response.headers

    def test_batch_of_which_nothing_fits_is_refused(
        self, limited: TestClient, keys: FakeKeyRepository, jobs: FakeJobRepository
    ) -> None:
        mine = key_of(keys)
        post_files(limited, *FILES, headers=mine)

        response = post_files(limited, *FILES, headers={**mine, "Idempotency-Key": "k"})

        assert (response.status_code, response.json()["code"]) == (429, LimitReached.code)
        assert len(jobs.every()) == 2


class TestCancel:
    def test_everything_that_has_not_ended_is_cancelled(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        batch = submitted(client)
        done, running, _ = job_ids(batch)
        succeed(jobs, store, done)
        start(jobs, running)

        response = client.post(batch["links"]["cancel"])

        assert response.status_code == 200
        assert [item["status"] for item in response.json()["items"]] == ["succeeded", "cancelling", "cancelled"]
        assert response.json()["status"] == "running"

    def test_batch_that_never_ran_is_cancelled_at_once(self, client: TestClient) -> None:
        batch = submitted(client)

        assert client.post(batch["links"]["cancel"]).json()["status"] == "cancelled"
        assert client.post(batch["links"]["cancel"]).status_code == 409


class TestFiles:
    @pytest.fixture
    def batch(self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> dict[str, Any]:
        """Two that succeeded, with results of the same name, and one that failed."""
        batch = submitted(client, ("talk.wav", wav(1.0)), TEXT, ("talk.mp3", wav(2.0)))
        first, _, second = job_ids(batch)
        succeed(jobs, store, first, {"talk.enhanced.wav": b"first", "manifest.json": b"not ours"})
        succeed(jobs, store, second, {"Talk.enhanced.wav": b"second"})
        return batch

    def test_manifest_names_everything_with_its_hash(self, client: TestClient, batch: dict[str, Any]) -> None:
        manifest = client.get(batch["links"]["manifest"]).json()

        assert (manifest["batch_id"], manifest["status"]) == (batch["id"], "partially_succeeded")
        first, refused, second = manifest["items"]
        assert first["input"] == {
            "name": "talk.wav",
            "bytes": len(wav(1.0)),
            "sha256": hashlib.sha256(wav(1.0)).hexdigest(),
        }
        assert [file["path"] for file in first["files"]] == ["talk.enhanced.wav", "manifest-2.json"]
        (file,) = second["files"]
        assert (file["path"], file["name"]) == ("Talk.enhanced-2.wav", "Talk.enhanced.wav")
        assert (file["bytes"], file["sha256"]) == (6, hashlib.sha256(b"second").hexdigest())
        assert client.get(file["href"]).content == b"second"
        assert (refused["files"], refused["error"]["code"]) == ([], "unsupported_media")

    def test_archive_holds_what_the_manifest_says(self, client: TestClient, batch: dict[str, Any]) -> None:
        response = client.get(f"{batch['links']['self']}/archive.zip")

        archive = zipfile.ZipFile(io.BytesIO(response.content))
        manifest = json.loads(archive.read("manifest.json"))
        told = {file["path"]: file["sha256"] for item in manifest["items"] for file in item["files"]}
        assert response.headers["Content-Type"] == "application/zip"
        assert f'filename="batch-{batch["id"]}.zip"' in response.headers["Content-Disposition"]
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"manifest.json", *told}
        assert {path: hashlib.sha256(archive.read(path)).hexdigest() for path in told} == told
        assert manifest == client.get(batch["links"]["manifest"]).json()

    def test_archive_waits_for_the_end(self, client: TestClient) -> None:
        batch = submitted(client)

        response = client.get(f"{batch['links']['self']}/archive.zip")

        assert batch["links"]["archive"] is None
        assert (response.status_code, response.json()["code"]) == (409, "conflict")

    def test_archive_says_when_files_have_expired(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        batch = submitted(client, *FILES[:2])
        first, second = job_ids(batch)
        succeed(jobs, store, first)
        finish(jobs, store, start(jobs, second), {"a.wav": b"a"}, expires_at=START)

        response = client.get(f"{batch['links']['self']}/archive.zip")

        assert (response.status_code, response.json()["code"]) == (410, "expired")
        assert "1 of 2" in response.json()["detail"]

    def test_silent_store_is_told_before_the_archive_begins(
        self, client: TestClient, batch: dict[str, Any], store: FakeObjectStore
    ) -> None:
        store.is_down = True

        assert client.get(f"{batch['links']['self']}/archive.zip").status_code == 503


class TestIdempotency:
    def test_same_request_again_makes_no_second_batch(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        key = {"Idempotency-Key": "k"}

        first, again = (post_files(client, *FILES, headers=key) for _ in range(2))

        assert again.json() == first.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(jobs.every()) == 3
        assert len(store.objects) == 3

    def test_other_files_under_the_key_are_refused(self, client: TestClient, store: FakeObjectStore) -> None:
        key = {"Idempotency-Key": "k"}
        post_files(client, *FILES, headers=key)

        response = post_files(client, *FILES[:2], headers=key)

        assert (response.status_code, response.json()["code"]) == (422, "idempotency_mismatch")
        assert len(store.objects) == 3

    def test_reply_that_was_lost_with_its_process_is_made_up_from_the_batch(
        self,
        client: TestClient,
        idempotency: FakeIdempotencyRepository,
        batches: FakeBatchRepository,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        key = {"Idempotency-Key": "k"}
        complete = idempotency.complete

        def die(record: Any) -> None:  # noqa: ANN401
            raise StorageError("The database did not answer.")

        monkeypatch.setattr(idempotency, "complete", die)
        assert post_files(client, *FILES, headers=key).status_code == 503
        monkeypatch.setattr(idempotency, "complete", complete)

        again = post_files(client, *FILES, headers=key)

        assert again.status_code == 202
        assert again.json()["counts"]["queued"] == 3
        assert len(batches._batches) == 1
