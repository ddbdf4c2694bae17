"""What boto3 would use for S3: profile, credentials, region and place of a bucket."""

import difflib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hpc_connector.errors import BadInput

CREDENTIALS = ("key", "secret", "token", "password", "credential")
MEANT = {  # as fsspec, obstore, Lithops, pandas and rclone name them
    "anon": "anonymous",
    "skip_signature": "anonymous",
    "no_sign_request": "anonymous",
    "request_payer": "requester_pays",
    "client_kwargs": "endpoint_url",
    "config_kwargs": "addressing_style",
    "endpoint": "endpoint_url",
    "url": "endpoint_url",
    "host": "endpoint_url",
    "region": "region_name",
    "profile": "profile_name",
    "virtual_hosted_style_request": "addressing_style",
}
PLACE = re.compile(
    r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d+)?(/[^\s?#]*)?", re.IGNORECASE
)
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
STYLES = ("auto", "path", "virtual")


@dataclass(frozen=True)
class S3Settings:
    """How an S3 is reached; what is not said is found as boto3 does.

    Parameters
    ----------
    endpoint_url, region_name, profile_name
        As boto3 has them.
    addressing_style
        Where the bucket stands: in the ``path``, or in the name of the host
        (``virtual``); ``auto`` as boto3 has it.
    anonymous
        Requests are not signed.
    requester_pays
        Who asks pays for the bytes.
    """

    endpoint_url: str = ""
    region_name: str = ""
    profile_name: str = ""
    addressing_style: str = ""
    anonymous: bool = False
    requester_pays: bool = False


KNOWN = tuple(field.name for field in fields(S3Settings))


def check_config(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return settings as they travel.

    Raises
    ------
    BadInput
        Not a mapping, credentials, which would travel with every slice, a name that is
        not known, or a value that cannot be one.
    """
    if not isinstance(given, Mapping):
        raise BadInput(f"storage_config: {given!r}: expected names and values")
    config = tuple(
        (name, str(value)) for name, value in sorted(given.items()) if value is not None
    )
    for name in given:
        _check_name(str(name), given[name])
    read_settings(config)
    return config


def _check_name(name: str, value: Any) -> None:
    """Refuse a name that is not known, with the one that was meant."""
    if name in KNOWN:
        return
    if any(word in name.lower() for word in CREDENTIALS):
        raise BadInput(
            f"storage_config: {name}: expected credentials from the environment or "
            "~/.aws, for slices travel"
        )
    meant = [MEANT[name.lower()]] if name.lower() in MEANT else []
    if isinstance(value, Mapping):
        meant = [inner for inner in value if inner in KNOWN] or meant
    meant = meant or difflib.get_close_matches(name.lower(), KNOWN, 1, 0.5)
    said = f"did you mean {' and '.join(meant)}? " if meant else ""
    raise BadInput(
        f"storage_config: unknown name {name!r}: {said}expected {', '.join(KNOWN)}"
    )


def read_settings(config: tuple[tuple[str, str], ...]) -> S3Settings:
    """Return settings from how they travel.

    Raises
    ------
    BadInput
        A value that cannot be one.
    """
    found: dict[str, Any] = dict(config)
    for name in ("anonymous", "requester_pays"):
        if name in found:
            found[name] = _read_flag(name, found[name])
    settings = S3Settings(**found)
    if settings.anonymous and settings.requester_pays:
        raise BadInput(
            "storage_config: anonymous and requester_pays: expected one of them, for "
            "who pays has to sign"
        )
    if "@" in settings.endpoint_url:
        raise BadInput(
            "storage_config: endpoint_url: expected no user and password in it, for "
            "slices travel"
        )
    if settings.endpoint_url and not PLACE.fullmatch(settings.endpoint_url):
        raise BadInput(
            f"storage_config: endpoint_url {settings.endpoint_url!r}: expected "
            "http://host:port or https://host"
        )
    if settings.addressing_style not in ("", *STYLES):
        raise BadInput(
            f"storage_config: addressing_style {settings.addressing_style!r}: expected "
            f"{', '.join(STYLES)}"
        )
    return settings


def _read_flag(name: str, text: str) -> bool:
    """Return True or False from text."""
    if text.lower() not in YES + NO:
        raise BadInput(f"storage_config: {name} {text!r}: expected true or false")
    return text.lower() in YES


def open_session(settings: S3Settings) -> Any:
    """Return a session of boto3.

    The region is that of the settings, AWS_DEFAULT_REGION, AWS_REGION, which boto3
    does not know and all others do, or the profile.
    """
    import boto3

    others = not os.environ.get("AWS_DEFAULT_REGION") and os.environ.get("AWS_REGION")
    return boto3.Session(
        profile_name=settings.profile_name or None,
        region_name=settings.region_name or others or None,
    )


def open_client(settings: S3Settings, *, signed: bool = True) -> Any:
    """Return a client of boto3.

    Raises
    ------
    BadInput
        Settings, or files of them, that boto3 does not take.
    """
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    options: Any = {"retries": {"mode": "standard", "max_attempts": 4}}
    options |= {"connect_timeout": 10, "read_timeout": 60}
    options |= {"request_checksum_calculation": "when_required"}
    options |= {"response_checksum_validation": "when_required"}
    if settings.addressing_style:
        options |= {"s3": {"addressing_style": settings.addressing_style}}
    if not signed or settings.anonymous:
        options |= {"signature_version": UNSIGNED}
    try:
        return open_session(settings).client(
            "s3", endpoint_url=settings.endpoint_url or None, config=Config(**options)
        )
    except (BotoCoreError, ValueError) as error:
        raise BadInput(f"S3: boto3 cannot be set up: {error}") from None


def has_authority(config: tuple[tuple[str, str], ...]) -> bool:
    """Return whether boto3 is told whose certificates it trusts: obstore cannot be.

    By AWS_CA_BUNDLE, or ``ca_bundle`` of a profile; it matters to https alone.
    """
    from botocore.exceptions import BotoCoreError

    settings = read_settings(config)
    try:
        found = open_session(settings)._session.get_config_variable("ca_bundle")
    except BotoCoreError as error:
        raise BadInput(f"S3: boto3 cannot be set up: {error}") from None
    if not found:
        return False
    url: str = open_client(settings, signed=False).meta.endpoint_url
    return url.startswith("https:")


def find_bucket(settings: S3Settings, bucket: str) -> dict[str, Any]:
    """Return region and place of a bucket, as obstore takes them.

    Asked of boto3 by a request that is not sent.

    Raises
    ------
    BadInput
        A name that no bucket can have.
    """
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import BotoCoreError
    from urllib3 import HTTPResponse

    client = open_client(settings, signed=False)
    urls: list[str] = []

    def answer(request: Any, **_: Any) -> Any:
        urls.append(request.url)
        nothing = HTTPResponse(io.BytesIO(), preload_content=False)
        return AWSResponse(request.url, 200, {}, nothing)

    client.meta.events.register("before-send.s3", answer)
    try:
        client.head_bucket(Bucket=bucket)
    except BotoCoreError as error:
        raise BadInput(f"s3://{bucket}: {error}") from None
    place = urls[0].partition("?")[0].rstrip("/")
    in_path = place.endswith(f"/{bucket}")
    return {
        "region": client.meta.region_name or "us-east-1",
        # not "endpoint": that of the environment would go before it
        "aws_endpoint_url_s3": place.removesuffix(f"/{bucket}") if in_path else place,
        "virtual_hosted_style_request": not in_path,
        # those of the provider go before it, and half of them in the environment fail
        "access_key_id": "boto3",
        "secret_access_key": "boto3",
    }


def check_credentials(settings: S3Settings, bucket: str) -> None:
    """Refuse requests that are to be signed, and cannot.

    Raises
    ------
    BadInput
        There are no credentials: in the environment, ~/.aws, or of the machine.
    """
    said = (
        f"s3://{bucket}: no credentials: expected AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or ~/.aws; a public bucket is read with anonymous"
    )
    try:
        if settings.anonymous:
            return
        if (found := open_session(settings).get_credentials()) is not None:
            found.get_frozen_credentials()  # they may have to be asked for
            return
    except Exception as error:  # of botocore, of many kinds
        raise BadInput(f"{said}: {error}") from None
    raise BadInput(said)


def get_provider(settings: S3Settings, bucket: str) -> Any:
    """Return the credential provider of obstore: boto3's, asked again when they end.

    Raises
    ------
    BadInput
        There are none.
    """
    from obstore.auth.boto3 import Boto3CredentialProvider

    check_credentials(settings, bucket)
    if settings.anonymous:
        return None
    return Boto3CredentialProvider(open_session(settings))
