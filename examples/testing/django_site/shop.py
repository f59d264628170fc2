"""A view that sends a job, whose handler uses the database."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path

from asyncjobs import App

__all__ = ["app", "sign_up", "urlpatterns", "welcome"]

app = App("redis://localhost:6379/0")


@app.job
def welcome(user_id: int) -> str:
    user = User.objects.get(pk=user_id)
    user.first_name = "welcomed"
    user.save()
    return user.username


def sign_up(request: HttpRequest) -> HttpResponse:
    user = User.objects.create(username=request.POST["name"])
    welcome.delay_sync(user.pk)
    return HttpResponse(status=202)


urlpatterns = [path("signups", sign_up)]
