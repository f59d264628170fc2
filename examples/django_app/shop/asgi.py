"""The shop on an ASGI server, `uvicorn shop.asgi:application`: the app is open for as long as the server runs.

Django doesn't know the ASGI lifespan, so Starlette stands around it. It serves the dashboard too.
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjobs.admin import basic_auth, dashboard

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django_application = get_asgi_application()

from shop.jobs import app  # noqa: E402

application = Starlette(
    lifespan=app.lifespan,
    routes=[
        Mount("/jobs", dashboard(app, authorize=basic_auth({"ops": os.environ["ADMIN_PASSWORD"]}))),
        Mount("/", django_application),
    ],
)
