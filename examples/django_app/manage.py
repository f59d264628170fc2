"""Django's commands. First `python manage.py migrate --run-syncdb`, then `python manage.py runserver`.

The jobs run in a worker beside it: `asyncjobs worker shop.worker:app`.
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
