"""What takes the place of the old worker while its queues drain: each job goes on in asyncjobs, under the same id.

`rq worker --job-class forward.Forward --with-scheduler payments default`
"""

from __future__ import annotations

from typing import Any

from rq.job import Job

from after import charge, hang, send_email, ship, thumbnail

JOBS = {f"before.{job.name}": job for job in (send_email, charge, ship, thumbnail, hang)}


class Forward(Job):
    def perform(self) -> None:
        arguments: dict[str, Any] = self.kwargs
        JOBS[self.func_name].with_options(job_id=self.id).delay_sync(*self.args, **arguments)
