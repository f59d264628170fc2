"""The recipes for Sentry and structlog, each in a process of its own, since they set up the log of a whole program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from tests.waiting import SOON

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "logging.md"

WORK = """
import asyncio, json, logging
from asyncjobs import App, RetryPolicy, Worker

work = App("memory://")

@work.job(retry=RetryPolicy(max_retries=0))
async def charge(order: int) -> None:
    logging.getLogger("shop").info("about to charge")
    {line}
    raise LookupError("no such card")

async def main() -> None:
    async with work:
        await charge.with_options(tenant="acme").delay(7)
        await Worker(work).run_until_empty()

asyncio.run(main())
"""

COLLECT = """
events = []
sentry_sdk.init(dsn="https://key@sentry.example.com/1", before_send=lambda event, hint: events.append(tag(event, hint)))
"""

TELL = """
[event] = events
print(json.dumps([event["exception"]["values"][-1]["type"], event["tags"], event["extra"]["job_id"]]))
"""


def _blocks(section: str) -> str:
    """Return the Python of a section of the page."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def _run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * SOON, check=True)


def test_sentry_gets_the_exception_and_the_job_of_a_dead_job() -> None:
    done = _run(_blocks("Sentry") + COLLECT + WORK.format(line="pass") + TELL)
    kind, tags, job_id = json.loads(done.stdout)
    assert kind == "LookupError"
    assert tags == {"job_name": "charge", "queue": "default", "tenant": "acme"}
    assert job_id.startswith("@acme:")


def test_structlog_names_the_job_in_its_own_records_and_in_all_others() -> None:
    done = _run(_blocks("structlog") + WORK.format(line="structlog.get_logger().info('charged', order=order)"))
    records: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    told = {one["event"]: one for one in records}
    for event in ("about to charge", "charged"):
        assert told[event]["job_name"] == "charge"
        assert told[event]["tenant"] == "acme"
    assert told["charged"]["order"] == 7
    [dead] = [one for one in records if "went to the dead letter queue" in one["event"]]
    assert dead["job_id"] == told["charged"]["job_id"]
    assert "LookupError: no such card" in dead["exception"]
