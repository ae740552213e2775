"""`python -m dis2`."""

import sys

from dis2.cli import main

sys.exit(main())
