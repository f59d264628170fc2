"""What the worker imports: Django with its models, then the jobs of all apps. `asyncjobs worker shop.worker:app`."""

from __future__ import annotations

import os

import django
from django.utils.module_loading import autodiscover_modules

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()
autodiscover_modules("jobs")

from shop.jobs import app  # noqa: E402

__all__ = ["app"]
