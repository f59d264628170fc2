"""The settings of a small Django site: `python -m django test test_shop --settings settings`, in this folder."""

from __future__ import annotations

SECRET_KEY = "for tests"
ROOT_URLCONF = "shop"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
