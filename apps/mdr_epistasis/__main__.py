"""``python -m mdr_epistasis``."""

import sys

from mdr_epistasis.program import main

sys.exit(main())
