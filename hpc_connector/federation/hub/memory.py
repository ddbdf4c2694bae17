"""What a site remembers of an attempt: what it has shown, and what it has sent.

Two messages under one mask would show their difference: a site that goes on sends what
it has sent before, or nothing.
"""

import os
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.federation.hub.block_file import Name
from hpc_connector.federation.hub.codec import decode, encode, load
from hpc_connector.federation.hub.wire import (
    HEADER,
    Header,
    name_block,
    pack_header,
    read_header,
)
from hpc_connector.publish import publish

SHOWN, KEPT, SENT = "shown", "kept", "sent"
BEGIN_ANEW = "expected the same as before, or a new attempt (without --resume)"


class Memory:
    """The memory of a site, a folder that is there.

    Parameters
    ----------
    shown
        What the site has shown to all, None before it has.
    kept
        By name, what must not change within the attempt.
    sent
        Headers of what was sent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown: dict[str, Any] | None = self.load(SHOWN)
        self.kept: dict[str, Any] = self.load(KEPT) or {}
        self.sent: dict[Name, Header] = {}
        path = folder / SENT
        data = path.read_bytes() if path.exists() else b""
        whole = len(data) - len(data) % HEADER.size
        for at in range(0, whole, HEADER.size):
            try:
                header = read_header(data[at : at + HEADER.size])
            except BadInput as error:
                raise BadInput(f"{path}, byte {at}: {error}") from None
            self.sent[header.stage, header.block] = header
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.truncate(self.file, whole)

    @property
    def goes_on(self) -> bool:
        """Whether the site has taken part in an attempt."""
        return self.shown is not None and "run" in self.kept

    def forget(self) -> None:
        """Forget the attempt, which is over: what is sent next has other masks."""
        os.truncate(self.file, 0)
        for name in (KEPT, SHOWN):  # while a nonce is there, so is what it was of
            (self.folder / name).unlink(missing_ok=True)
        self.shown, self.kept, self.sent = None, {}, {}

    def load(self, name: str) -> Any:
        """Return a value that was saved, None if it was not."""
        return load(self.folder / name)

    def save(self, name: str, value: Any) -> None:
        """Write a value; it is on the disk when this returns."""
        with publish(self.folder / name, "open", private=True) as stream:
            stream.write(encode(value))

    def show(self, hello: dict[str, Any]) -> dict[str, Any]:
        """Return what the site shows to all: what it has shown, if it has.

        Raises
        ------
        BadInput
            Something else than the nonce is not as it was.
        """
        if self.shown is None:
            self.save(SHOWN, hello)
            self.shown = decode(encode(hello))
        before = dict(self.shown)
        now = dict(hello) | {"nonce": before["nonce"]}
        if encode(now) != encode(before):
            changed = [name for name in now if now[name] != before.get(name)]
            what = changed[0] if changed else "what it shows"
            raise BadInput(f"{what} of this site has changed: {BEGIN_ANEW}")
        return before

    def keep(self, name: str, value: Any) -> None:
        """Remember a value, which must not change within the attempt.

        Raises
        ------
        BadInput
            It has.
        """
        if self.kept.setdefault(name, value) != value:
            raise BadInput(f"{name} of this site has changed: {BEGIN_ANEW}")
        self.save(KEPT, self.kept)

    def send(self, header: Header) -> None:
        """Remember what is about to be sent.

        Raises
        ------
        BadInput
            It is not what was sent of that block before.
        """
        name = header.stage, header.block
        if (before := self.sent.get(name)) not in (None, header):
            raise BadInput(
                f"{name_block(*name)} of this site is not what it was: {BEGIN_ANEW}"
            )
        if before is None:
            os.write(self.file, pack_header(header))
            self.sent[name] = header

    def close(self) -> None:
        """Close its file."""
        os.close(self.file)
