"""``python -m asyncjobs``."""

import sys

from asyncjobs.cli.main import main

sys.exit(main())
