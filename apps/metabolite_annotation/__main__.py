"""``python -m metabolite_annotation``."""

import sys

from metabolite_annotation.program import main

sys.exit(main())
