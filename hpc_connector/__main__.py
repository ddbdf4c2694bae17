"""``python -m hpc_connector``."""

import sys

from hpc_connector.program import main

sys.exit(main())
