"""The jobs of the shop. The views import them to send, the worker to run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.utils import timezone

from asyncjobs import App
from shop.models import Order

P = ParamSpec("P")
R = TypeVar("R")

app = App(settings.ASYNCJOBS_URL, prefix="shop")


def with_database(handler: Callable[P, R]) -> Callable[P, R]:
    """Do for a job what Django does for a request: close the connections that are too old or broken."""

    @wraps(handler)
    def handle(*args: P.args, **kwargs: P.kwargs) -> R:
        close_old_connections()
        try:
            return handler(*args, **kwargs)
        finally:
            close_old_connections()

    return handle


@app.job(queue="emails")
@with_database
def send_receipt(order_id: int) -> str:
    order = Order.objects.get(pk=order_id)
    order.receipt_sent_at = timezone.now()
    order.save(update_fields=["receipt_sent_at"])
    return f"receipt for order {order_id} sent to {order.email}"


@app.job(queue="emails", cron="0 8 * * *", timezone="Europe/Berlin")
async def remind() -> int:
    """Count the orders without a receipt. The async methods of the ORM run in one thread, with its own connections."""
    await sync_to_async(close_old_connections)()
    return await Order.objects.filter(receipt_sent_at=None).acount()


@receiver(post_save, sender=Order)
def order_saved(sender: type[Order], instance: Order, created: bool, **_: Any) -> None:
    if created:
        transaction.on_commit(
            partial(send_receipt.with_options(job_id=f"receipt-{instance.pk}").delay_sync, instance.pk)
        )
