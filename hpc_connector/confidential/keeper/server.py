"""The keeper as a server: HTTPS by the standard library, a thread a connection."""

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus

from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.confidential.keeper.access import check_person
from hpc_connector.confidential.keeper.grants import (
    bind,
    describe_data,
    get_values,
    make_grant,
)
from hpc_connector.confidential.keeper.log import add_event
from hpc_connector.confidential.keeper.messages import MOST_BYTES, encode
from hpc_connector.confidential.keeper.release import release
from hpc_connector.confidential.keeper.settings import Place
from hpc_connector.confidential.keeper.state import Keeper, read_authority
from hpc_connector.confidential.refused import Refused
from hpc_connector.confidential.serving import (
    JSON,
    Handler,
    Server,
    explain_address,
    in_thread,
    make_context,
)
from hpc_connector.errors import BadInput
from hpc_connector.text import pack_json

logger = logging.getLogger(__name__)

AT_ONCE = 32  # connections that are served
PEM = "application/x-pem-file"
STATUS = {  # of refusals, by their words; of others FORBIDDEN
    "body": HTTPStatus.BAD_REQUEST,
    "token": HTTPStatus.UNAUTHORIZED,
    "values": HTTPStatus.NOT_FOUND,
}


class KeeperServer(Server):
    """Serves what a keeper holds."""

    def __init__(self, keeper: Keeper, context: ssl.SSLContext) -> None:
        self.keeper = keeper
        super().__init__(
            keeper.settings.keeper.listen,
            KeeperHandler,
            context,
            name="keeper",
            at_once=AT_ONCE,
        )


class KeeperHandler(Handler):
    """Answers the requests of one connection."""

    server: KeeperServer
    server_version = "keeper"

    def answer(self, act: Callable[[], tuple[bytes, str] | None]) -> None:
        """Send what is answered, or why not."""
        self.is_read = False
        try:
            found = act()
            if found is None:
                said = {"refused": "path", "reason": "there is no such thing"}
                self.send(HTTPStatus.NOT_FOUND, pack_json(said))
            else:
                self.send(HTTPStatus.OK, *found)
        except Refused as refused:
            said = {"refused": refused.word, "reason": refused.reason}
            code = STATUS.get(refused.word, HTTPStatus.FORBIDDEN)
            self.send(code, pack_json(said | {"again": refused.again}))
        except (OSError, BadInput) as error:  # of MUNGE, Slurm, the disk, the issuer
            logger.warning("%s", error)
            self.send(HTTPStatus.SERVICE_UNAVAILABLE, pack_json({"reason": "not now"}))
        except Exception:
            logger.exception("%s", self.command)
            self.send(
                HTTPStatus.INTERNAL_SERVER_ERROR, pack_json({"reason": "a fault"})
            )

    def get(self) -> tuple[bytes, str] | None:
        """Return the answer to a GET, None where there is none."""
        keeper, path = self.server.keeper, self.path
        if path == "/v1/nonces":
            nonce = encode(keeper.nonces.make())
            return pack_json({"nonce": nonce, "uid": keeper.uid}), JSON
        if path == "/v1/ca.pem":
            return read_authority(keeper.settings), PEM
        if path == "/v1/data":
            return pack_json(describe_data(keeper, self.person())), JSON
        if path.startswith(start := "/v1/values/"):
            query = path.removeprefix(start)
            return pack_json(get_values(keeper, self.person(), query)), JSON
        return None

    def post(self) -> tuple[bytes, str] | None:
        """Return the answer to a POST."""
        keeper = self.server.keeper
        if self.path == "/v1/release":
            credential = self.headers.get("X-Munge", "")
            return pack_json(release(keeper, self.read(), credential)), JSON
        if self.path == "/v1/grants":
            data = self.read()
            return pack_json(make_grant(keeper, self.person(), data)), JSON
        return None

    def put(self) -> tuple[bytes, str] | None:
        """Return the answer to a PUT."""
        parts = self.path.split("/")
        if len(parts) != 5 or parts[1:3] != ["v1", "grants"] or parts[4] != "job":
            return None
        data = self.read()
        return pack_json(bind(self.server.keeper, self.person(), parts[3], data)), JSON

    def person(self) -> Claims:
        """Return who asks, by the token; the log says who was refused, and why."""
        try:
            return check_person(
                self.server.keeper.settings, self.headers.get("Authorization", "")
            )
        except Refused as refused:
            add_event(self.server.keeper.log, "refuse", reason=str(refused))
            raise

    def read(self) -> bytes:
        """Return the content of a request.

        Raises
        ------
        Refused
            It is too long; nothing of it is read.
        """
        length = self.get_length(MOST_BYTES)
        if length is None:
            refused = Refused("size", f"expected at most {MOST_BYTES} bytes")
            add_event(self.server.keeper.log, "refuse", reason=str(refused))
            raise refused
        data = self.rfile.read(length)
        self.is_read = True  # else what is left of it would be the next request
        return data


def load_context(place: Place) -> ssl.SSLContext:
    """Return the TLS of a keeper.

    Raises
    ------
    BadInput
        Its certificate, or the key of that, cannot be read.
    """
    context = make_context()
    try:
        context.load_cert_chain(place.certificate, place.certificate_key)
    except OSError as error:  # an error of TLS is one
        what = error.strerror or "not PEM, or without its private key"
        raise BadInput(f"{place.certificate}: {what}: expected a certificate") from None
    return context


@contextlib.contextmanager
def serve(keeper: Keeper) -> Iterator[tuple[str, int]]:
    """Serve in threads as long as a ``with`` lasts; give the address.

    Raises
    ------
    BadInput
        The address cannot be had.
    """
    context = load_context(keeper.settings.keeper)
    with explain_address(keeper.settings.keeper.listen):
        server = KeeperServer(keeper, context)
    add_event(keeper.log, "start", uid=keeper.uid)
    try:
        with in_thread(server, "keeper") as address:
            yield address
    finally:
        add_event(keeper.log, "stop", uid=keeper.uid)
        keeper.database.close()
