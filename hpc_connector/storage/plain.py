"""boto3 and urllib3 as clients: slower, for every key, and for a process of a fork."""

import contextlib
import email.utils
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hpc_connector.storage import s3
from hpc_connector.storage.address import split_user
from hpc_connector.storage.store import (
    WHOLE,
    Broken,
    Changed,
    Denied,
    Missing,
    Range,
    Response,
    StoreError,
    Version,
    is_strong,
    make_tag,
)

TIMEOUT_S = 60.0


class BucketStore:
    """Objects of a bucket by boto3."""

    def __init__(self, bucket: str, config: tuple[tuple[str, str], ...]):
        settings = s3.read_settings(config)
        s3.check_credentials(settings, bucket)
        self.client, self.bucket = s3.open_client(settings), bucket
        self.more = {"RequestPayer": "requester"} if settings.requester_pays else {}

    def _ask(self, method: str, key: str, **options: Any) -> Any:
        """Return the answer to a request."""
        with explain():
            return getattr(self.client, method)(
                Bucket=self.bucket, Key=key, **self.more, **options
            )

    def look(self, key: str) -> Version:
        """Return size and tag of an object."""
        found = self._ask("head_object", key)
        return Version(found["ContentLength"], _get_tag(found))

    def read(self, key: str, wanted: Range | None = None, tag: str = "") -> Response:
        """Return bytes of an object, all if no range is given; of one tag only."""
        options = {"Range": make_range(wanted)} if wanted else {}
        options |= {"IfMatch": tag} if is_strong(tag) else {}
        found = self._ask("get_object", key, **options)
        with explain():
            data = found["Body"].read()
        span = read_span(found.get("ContentRange", ""), len(data), wanted)
        return Response(data, span, _get_tag(found))

    def write(self, key: str, data: bytes | memoryview, *, only_new: bool) -> str:
        """Write an object; return its tag, "" if it is not said."""
        options = {"IfNoneMatch": "*"} if only_new else {}
        found = self._ask("put_object", key, Body=bytes(data), **options)
        return make_tag(found.get("ETag"), None)

    def list(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder, the folder left out."""
        pages = self.client.get_paginator("list_objects_v2")
        prefix = f"{folder}/"
        with explain():
            found = [
                one["Key"].removeprefix(prefix)
                for page in pages.paginate(
                    Bucket=self.bucket, Prefix=prefix, **self.more
                )
                for one in page.get("Contents", [])
            ]
        return sorted(found)

    def remove(self, key: str) -> None:
        """Remove an object."""
        self._ask("delete_object", key)


def _get_tag(found: Any) -> str:
    return make_tag(found.get("ETag"), found.get("LastModified"))


class WebStore:
    """One object behind HTTP by urllib3; its key is empty."""

    def __init__(self, url: str):
        import urllib3

        self.url, user = split_user(url)
        self.headers = urllib3.make_headers(basic_auth=user) if user else {}
        self.pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=10, read=TIMEOUT_S)
        )

    def _ask(self, method: str, headers: dict[str, str] | None = None) -> Any:
        """Return an answer that is one."""
        import urllib3

        headers = self.headers | (headers or {}) | {"Accept-Encoding": "identity"}
        with explain():
            answer = self.pool.request(
                method,
                self.url,
                headers=headers,
                retries=urllib3.Retry(0, redirect=5, raise_on_status=False),
            )
        raise_for(answer.status)
        return answer

    def look(self, key: str) -> Version:
        """Return size and tag of the object."""
        try:
            answer = self._ask("HEAD")
            size = int(answer.headers.get("Content-Length", 0))
        except StoreError:
            size = 0
        if size == 0:  # who signs a GET does not allow HEAD, with whatever status
            return self._peek()
        return Version(size, self._get_tag(answer))

    def _peek(self) -> Version:
        """Return size and tag of the object by a GET, of its first byte."""
        try:
            answer = self._ask("GET", {"Range": make_range((0, 1))})
        except Broken:
            answer = self._ask("GET")  # of an empty object there is no first byte
        place = answer.headers.get("Content-Range", "")
        size = place.rpartition("/")[2] if place else len(answer.data)
        return Version(int(size), self._get_tag(answer))

    def read(self, key: str, wanted: Range | None = None, tag: str = "") -> Response:
        """Return bytes of the object, all if no range is given; of one tag only."""
        headers = {"Range": make_range(wanted)} if wanted else {}
        headers |= {"If-Match": tag} if is_strong(tag) else {}
        answer = self._ask("GET", headers)
        place = answer.headers.get("Content-Range", "")
        span = read_span(place, len(answer.data), wanted)
        return Response(answer.data, span, self._get_tag(answer))

    def _get_tag(self, answer: Any) -> str:
        """Return the tag of an answer."""
        return make_tag(
            answer.headers.get("ETag"), read_time(answer.headers.get("Last-Modified"))
        )

    def write(self, key: str, data: bytes | memoryview, *, only_new: bool) -> str:
        """Refuse: it is not for writing."""
        raise Denied("it cannot be written by HTTP")

    def list(self, folder: str) -> list[str]:
        """Refuse: there is no list by HTTP."""
        raise Denied("it cannot be listed by HTTP")

    def remove(self, key: str) -> None:
        """Refuse: it is not for writing."""
        raise Denied("it cannot be removed by HTTP")


def make_range(wanted: Range) -> str:
    """Return a range as a request has it."""
    return f"bytes={wanted[0]}-{wanted[1] - 1}"


def read_span(said: str, n_bytes: int, wanted: Range | None) -> Range:
    """Return which bytes an answer says it is.

    Raises
    ------
    Broken
        It does not say so, though a range was asked for.
    """
    if wanted is None:
        return 0, n_bytes
    try:
        first, last = said.removeprefix("bytes ").partition("/")[0].split("-")
        return int(first), int(last) + 1
    except ValueError:
        raise Broken(WHOLE) from None


def read_time(text: str | None) -> datetime | None:
    """Return a time of HTTP, None if there is none."""
    try:
        return email.utils.parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def raise_for(status: int) -> None:
    """Raise what a status of HTTP says of an object, unless it is well."""
    if status in (404, 410):
        raise Missing
    if status == 401:
        raise Denied("the credentials are not accepted")
    if status == 403:
        raise Denied("access is denied: expected other credentials or rights")
    if status in (409, 412):
        raise Changed
    if status >= 300:
        raise Broken(f"its server answers with status {status}")


@contextlib.contextmanager
def explain() -> Iterator[None]:
    """Turn the errors of boto3 and urllib3 into those of stores."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status in (400, 416):
            raise StoreError(str(error)) from None
        raise_for(status)
    except (HTTPError, BotoCoreError) as error:
        raise Broken(f"its server does not answer: {type(error).__name__}") from None
