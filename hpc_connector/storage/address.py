"""What the name of an object says: which store, which key, and what is secret in it.

A key of S3 is a key: none of its characters has a meaning. A URL of HTTP is encoded
once and keeps its query, a URL of a file is a path, and a path is a path.
"""

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from hpc_connector.errors import BadInput

ONE_SLASH = re.compile(  # as a Path of Python has it
    r"(s3[an]?|https?|file|ftp|gc?s|abfss?|azure|az|wasbs?|hdfs|swift|oss|r2):/(?!/)",
    re.IGNORECASE,
)
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
WEB = ("http", "https")
STORES = ("s3", *WEB)
RESERVED = "%:/?[]@!$&'()*+,;=-._~"  # of a URL: not encoded again
ENCRYPTED = ".c4gh"  # the ending of what is encrypted
SEAL = ".seal"  # and of its seal, behind that
HIDDEN = "***"
STARS = re.compile(r"\*\*\*\d*")  # it, of one or another
MOST_BYTES = 200  # of a name in a folder

# Parameters of a URL by which a store knows who has signed it, and those beside them
SIGNATURES = re.compile(
    r"(x-[a-z]+-)?signature|q-signature|sig|temp_url_sig|hd(nts|nea|ntl)", re.IGNORECASE
)
SIGNED_TOO = re.compile(
    r"x-(amz|goog|oss|cos|obs)-.*|q-.*|expires|awsaccesskeyid|googleaccessid"
    r"|temp_url_.*|ossaccesskeyid|key-pair-id|policy|s[veprisd]|st|spr|sip|srt|sk\w+|sdd|scid",
    re.IGNORECASE,
)
SECRETS = re.compile(
    r".*(token|secret|passw|credential|signature|api[-_]?key|access[-_]?key|auth).*"
    r"|sig|(rl|resource)?key|pwd|jwt|code|sas|hmac|.*ticket|macaroon|bearer|md5"
    r"|session(id)?|verify|view_only|private_link",
    re.IGNORECASE,
)

# URLs by how they are shown, and what of them is secret but no signature
_known: dict[str, tuple[str, tuple[str, ...]]] = {}
_derived: set[str] = set()  # names of what may stand beside an object


class NotSigned(BadInput):
    """What signs a URL is not known in this process."""


@dataclass(frozen=True)
class Source:
    """Where an object is; who may read it is up to the standard chain.

    Parameters
    ----------
    uri
        ``s3://bucket/key``, ``http(s)://...``, ``file:///path`` or a path. It is kept
        as it may be shown: without what signs a URL, which stays in this process.
    config
        Settings of the store, such as ``endpoint_url``; no credentials.
    """

    uri: str
    config: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Keep what may be shown of the name."""
        object.__setattr__(self, "uri", take(self.uri))

    def beside(self, ending: str) -> "Source":
        """Return the source whose name has an ending more."""
        return Source(beside(self.uri, ending), self.config)


def get_scheme(uri: str) -> str:
    """Return ``s3``, ``http``, ..., in small letters; none for a path."""
    match = SCHEME.match(uri)
    return match[1].lower() if match else ""


def is_remote(path: str) -> bool:
    """Return whether a path is that of an object in a store."""
    return get_scheme(path) in STORES


def is_encrypted(path: str) -> bool:
    """Return whether a path is that of an object whose bytes are encrypted."""
    return cut_query(path).endswith(ENCRYPTED)


def is_object(path: str) -> bool:
    """Return whether a path is read by ranges: in a store, or encrypted."""
    return is_remote(path) or is_encrypted(path)


def is_url(text: str) -> bool:
    """Return whether text is a URL, of whatever scheme, and not a path."""
    return bool(SCHEME.match(text) or ONE_SLASH.match(text))


def take(uri: str) -> str:
    """Return the name of an object as it may be shown, and keep its secrets here.

    Examples
    --------
    >>> take("file:///data/a%20b.csv")
    '/data/a b.csv'
    >>> take("http://host/x?v=2&X-Amz-Date=2&X-Amz-Signature=1f")
    'http://host/x?v=2&X-Amz-Signature=***'

    Raises
    ------
    BadInput
        A scheme that is not read.
    """
    scheme = get_scheme(uri)
    if scheme == "file":
        return _get_path(uri)
    if scheme in WEB:
        url = re.sub(r"^(\w+://[^/?]+)(?=\?|$)", r"\1/", uri)
        shown, secrets, _ = _hide(url)
        is_shown = STARS.sub("", url) == STARS.sub("", shown)
        return url if is_shown or _is_cut(url) else _keep(url, shown, secrets)
    if scheme not in ("", *STORES) or ONE_SLASH.match(uri):
        raise BadInput(
            f"{uri}: expected s3://bucket/key, http(s)://host/path, or a file"
        )
    return uri


def split_server(url: str, port: int) -> tuple[str, int, str] | None:
    """Return host, port and path of a URL; None of what is none, or asks a query.

    Parameters
    ----------
    port
        Where the URL names none.

    Examples
    --------
    >>> split_server("nats://node7/SCAN_12", 4222), split_server("tcp://a:b", 9090)
    (('node7', 4222, 'SCAN_12'), None)
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or port
    except ValueError:
        return None
    if not host or parts.query or parts.fragment:
        return None
    return host, port, parts.path.removeprefix("/")


def _get_path(uri: str) -> str:
    """Return the path of ``file:///path``, which is encoded."""
    host, slash, path = uri[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost") or not path:
        raise BadInput(f"{uri}: expected file:///path, of this machine")
    name = os.fsdecode(unquote_to_bytes(os.fsencode(slash + path)))
    if "\0" in name:
        raise BadInput(f"{uri}: expected a path, which has no byte 0")
    return name


def _hide(url: str) -> tuple[str, tuple[str, ...], bool]:
    """Return a URL without its secrets, those that are no signature, and if it has any.

    Of what signs one object no more is left than that it does: who signs it again has
    the same object, by the same name.
    """
    head, mark, query = url.partition("?")
    start, at, rest = _split_user(head)
    secrets = [start.partition("://")[2]] if at else []
    words = query.split("&")
    names = [unquote(word.partition("=")[0]) for word in words]
    is_signed = any(SIGNATURES.fullmatch(name) for name in names)
    kept = []
    for name, word in zip(names, words, strict=True):
        if is_signed and SIGNATURES.fullmatch(name):
            kept.append(f"{name}={HIDDEN}")
        elif SECRETS.fullmatch(name) and not (is_signed and SIGNED_TOO.fullmatch(name)):
            kept.append(f"{name}={HIDDEN}")
            secrets.append(word)
        elif not (is_signed and SIGNED_TOO.fullmatch(name)):
            kept.append(word)
    start = f"{get_scheme(url)}://{HIDDEN}" if at else start
    shown = f"{start}{at}{rest}{mark}{'&'.join(kept)}"
    return shown, tuple(secrets), is_signed or bool(secrets)


def show(text: str) -> str:
    """Return text as it may be shown, were it a URL."""
    return _hide(text)[0] if get_scheme(text) in WEB else text


def has_secrets(uri: str) -> bool:
    """Return whether a URL gives rights to whoever has all of it."""
    return get_scheme(uri) in WEB and _hide(uri)[2]


def _split_user(head: str) -> tuple[str, str, str]:
    """Return scheme and user of a URL without its query, ``@``, and the rest."""
    match = re.match(r"(\w+://[^/]*)@(.*)", head, re.DOTALL)
    return (match[1], "@", match[2]) if match else (head, "", "")


def _is_cut(url: str) -> bool:
    """Return whether a URL was made of one that is shown: it signs nothing."""
    return any(
        SECRETS.fullmatch(unquote(name)) and value.startswith(HIDDEN)
        for name, _, value in (
            word.partition("=") for word in url.split("?")[-1].split("&")
        )
    )


def split_user(url: str) -> tuple[str, str]:
    """Return a URL without ``user:password@``, and these, decoded."""
    head, mark, query = url.partition("?")
    start, at, rest = _split_user(head)
    if not at:
        return url, ""
    scheme, _, user = start.partition("://")
    return f"{scheme}://{rest}{mark}{query}", unquote(user)


def _keep(url: str, shown: str, secrets: tuple[str, ...]) -> str:
    """Return how a URL is shown; of others that differ in their secrets, by number."""
    name, number = shown, 1
    while name in _known and _known[name][1] != secrets:
        number += 1
        name = shown.replace(HIDDEN, f"{HIDDEN}{number}", 1)
    _known[name] = (url, secrets)
    return name


def get_known() -> dict[str, Any]:
    """Return the secrets of this process, for one that works for it."""
    return dict(_known)


def know(known: dict[str, Any]) -> None:
    """Take the secrets of another process, that this one works for."""
    _known.update(known)


def get_url(uri: str) -> str:
    """Return the URL to ask for, with its secrets, encoded once.

    Raises
    ------
    BadInput
        Its secrets are not known here (``NotSigned``), or it names no object.
    """
    url, _ = _known.get(uri, (uri, ()))
    if uri not in _known and has_secrets(uri):
        raise NotSigned(
            f"{uri}: what signs a URL stays in the process that was given it: expected "
            "hpc_connector.storage.address.take(URL) in this one too, or an s3:// name"
        )
    if "#" in url:
        raise BadInput(f"{uri}: expected %23 for # in a URL: no server is sent a #")
    match = re.match(r"(https?)://([^/?]+)/(.+)", url, re.IGNORECASE | re.DOTALL)
    if match is None:
        raise BadInput(f"{uri}: expected http(s)://host/path")
    path = re.sub("%(?![0-9A-Fa-f]{2})", "%25", match[3])
    path = quote(path, RESERVED, errors="surrogateescape")
    return f"{match[1].lower()}://{match[2]}/{path}"


def get_key(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``; all behind the bucket is the key.

    Raises
    ------
    BadInput
        There is none.
    """
    bucket, _, key = uri[len("s3://") :].partition("/")
    if not bucket or not key or any("\ud800" <= c <= "\udfff" for c in key):
        raise BadInput(f"{uri}: expected s3://bucket/key, in UTF-8")
    return bucket, key


def cut_query(uri: str) -> str:
    """Return the name of an object without the query of a URL."""
    return uri.partition("?")[0] if get_scheme(uri) in WEB else uri


def get_name(uri: str) -> str:
    """Return the name of an object, to look at its end: without query, and `.c4gh`.

    Examples
    --------
    >>> get_name("http://host/a.bed.c4gh?v=2")
    'http://host/a.bed'
    """
    return cut_query(uri).removesuffix(ENCRYPTED)


def beside(uri: str, ending: str, *, without: str = "") -> str:
    """Return the name of what stands beside an object: with an ending more.

    Parameters
    ----------
    without
        An ending that is taken off first, in whatever case; of what is encrypted, its
        own ending too.

    Examples
    --------
    >>> beside("http://host/a.bed?v=2", ".bim", without=".bed")
    'http://host/a.bim?v=2'
    >>> beside("a.bed.c4gh", ".seal")
    'a.bed.c4gh.seal'
    """
    uri = take(uri)
    url, _ = _known.get(uri, (uri, ()))
    name = cut_query(url)
    query = url[len(name) :]
    if without:
        name = name.removesuffix(ENCRYPTED)
    if without and name.lower().endswith(without.lower()):
        name = name[: -len(without)]
    found = take(f"{name}{ending}{query}")
    if is_remote(found):
        _derived.add(found)
    return found


def is_derived(uri: str) -> bool:
    """Return whether nobody has said that there is an object of a name."""
    return uri in _derived


def forget_derived() -> None:
    """Forget what was derived: the next run may be told of it."""
    _derived.clear()


def get_ending(uri: str) -> str:
    """Return the ending of an object's name, with its dot."""
    return posixpath.splitext(get_name(uri))[1]


def make_path(uri: str) -> str:
    """Return a path below a folder for an object: each has its own, and it stays below.

    Examples
    --------
    >>> make_path("s3://bucket/a//../50%.csv")
    'bucket/a/%/%2E%2E/50%25.csv'
    """
    name = uri.partition("://")[2] if get_scheme(uri) else uri.lstrip("/")
    return "/".join(map(_make_part, name.split("/")))


def _make_part(part: str) -> str:
    """Return a part of a path that names a folder or file, and no other."""
    found = part.replace("%", "%25").replace("\0", "%00")
    if found in ("", ".", ".."):
        return found.replace(".", "%2E") or "%"
    data = found.encode("utf-8", "surrogateescape")
    if len(data) <= MOST_BYTES:
        return found
    return f"{found[:40]}%{hashlib.sha256(data).hexdigest()}"
