"""``python -m hpc_connector``."""

import sys

from hpc_connector.commands.main import main

sys.exit(main())
