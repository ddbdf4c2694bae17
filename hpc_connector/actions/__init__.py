"""Near-data actions: what is done with records on the node where they are.

Barcelona-Pons, Garcia-Lopez, Metzler, "Glider: Serverless Ephemeral Stateful Near-Data
Computation", Middleware 2023: objects at the storage with ``onCreate``, ``onWrite``,
``onRead`` and ``onDelete``. Here they are beside the ranks of a node; the code is ours.
"""

from hpc_connector.actions.area import Area, Written, near_data
from hpc_connector.actions.host import Context

__all__ = ["Area", "Context", "Written", "near_data"]
