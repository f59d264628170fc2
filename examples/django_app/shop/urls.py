"""The web pages of the shop: one takes an order, one tells of its receipt."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from asyncjobs import UnknownJob
from shop.jobs import app, send_receipt
from shop.models import Order


@transaction.atomic
def take_order(request: HttpRequest) -> JsonResponse:
    order = Order.objects.create(email=request.GET["email"])
    if order.email.endswith("@example.invalid"):
        raise ValueError("there is no such address")  # nothing is committed, and so nothing is sent
    return JsonResponse({"order": order.pk}, status=202)


def receipt(request: HttpRequest, order_id: int) -> JsonResponse:
    try:
        job = app.sync.find_job(f"receipt-{order_id}", queue="emails")
    except UnknownJob:
        return JsonResponse({"state": "unknown"}, status=404)
    return JsonResponse({"state": job.state.value})


async def send_again(request: HttpRequest, order_id: int) -> JsonResponse:
    """An async view awaits; asgi.py has opened the app."""
    handle = await send_receipt.delay(order_id)
    return JsonResponse({"job": handle.id}, status=202)


urlpatterns = [
    path("orders/", take_order),
    path("orders/<int:order_id>/receipt/", receipt),
    path("orders/<int:order_id>/send-again/", send_again),
]
