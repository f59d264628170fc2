"""What takes the place of the old worker while its queue drains: each job goes on in asyncjobs, under the same id.

`celery -A forward worker -Q celery,payments`
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from after import charge, hang, send_email, ship, thumbnail
from asyncjobs import JobDefinition

celery = Celery("before", broker=os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
celery.conf.task_acks_late = True


def forward(job: JobDefinition[..., Any]) -> None:
    @celery.task(name=f"before.{job.name}", bind=True, ignore_result=True, autoretry_for=(Exception,), max_retries=None)
    def old(self: Any, *args: Any, **kwargs: Any) -> None:
        job.with_options(job_id=self.request.id).delay_sync(*args, **kwargs)


for job in (send_email, charge, ship, thumbnail, hang):
    forward(job)
