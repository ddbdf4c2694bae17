"""How the scorer of a hub asks for sums: in its process, of no site's numbers."""

import logging
from typing import Any

from hpc_connector.federation.hub.codec import decode, encode
from hpc_connector.federation.hub.exchange import Exchange
from hpc_connector.federation.masks import Numbers

logger = logging.getLogger(__name__)


class HubTransport:
    """The way of a hub's scorer to the sites; see ``federation.transport``.

    Parameters
    ----------
    address
        Host and port where the hub listens.
    """

    is_scorer = True

    def __init__(self, exchange: Exchange, address: tuple[str, int]) -> None:
        self.exchange, self.address = exchange, address
        self.attempt, self.n_told = 0, 0

    def gather(self, value: None = None) -> list[Any]:
        """Return the hellos of the sites, in the order of the study."""
        attempt = self.exchange.meet()
        self.attempt = attempt.number
        return [dict(hello) for hello in attempt.hellos]

    def add(self, stage: int, block: int, make: None = None) -> Numbers:
        """Return the sum of a block over the sites."""
        return self.exchange.wait_for_sum(self.attempt, (stage, block))

    def tell(self, value: Any) -> Any:
        """Tell a value to the sites; return it as they get it."""
        data = encode(value)
        self.exchange.tell(self.attempt, self.n_told, data)
        self.n_told += 1
        return decode(data)
