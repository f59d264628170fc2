"""An order, and the moment at which its receipt was sent."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    email = models.EmailField()
    receipt_sent_at = models.DateTimeField(null=True)

    objects = models.Manager()

    class Meta:
        app_label = "shop"
