"""Jobs that run in processes; at the top of a module, from which a process can import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from asyncjobs import Cancel, Inject, Retry, RetryPolicy, Snooze, current_job, job

__all__ = [
    "crash",
    "end",
    "fail",
    "fail_late",
    "hang_in_a_step",
    "in_steps",
    "nap",
    "spin",
    "square",
    "steer",
    "step_by_step",
    "text",
    "wait_for",
]


@job(name="cpu_square", executor="process", queue="cpu")
def square(number: int) -> dict[str, int]:
    """Tell how far it is, and where it runs."""
    current_job().progress(1, 2)
    current_job().log.info("half way")
    return {"square": number * number, "pid": os.getpid(), "attempt": current_job().attempt}


@job(name="cpu_spin", executor="process", queue="cpu", timeout=0.5, retry=RetryPolicy(max_retries=0))
def spin() -> None:
    while True:
        pass


@job(name="cpu_in_steps", executor="process", queue="cpu", timeout=1, retry=RetryPolicy(max_retries=0))
def in_steps(count: int) -> float:
    """Take 0.2 s for each step, with two seconds at most; return how far the deadline has moved."""
    running = current_job()
    assert running.deadline is not None
    before = running.deadline
    for _ in range(count):
        running.extend_timeout(2)
        time.sleep(0.2)
    return (running.deadline - before).total_seconds()


@job(name="cpu_hang_in_a_step", executor="process", queue="cpu", timeout=1, retry=RetryPolicy(max_retries=0))
def hang_in_a_step(seconds: float) -> None:
    current_job().extend_timeout(seconds)
    time.sleep(60)


@job(
    name="cpu_fail",
    executor="process",
    queue="cpu",
    retry=RetryPolicy(max_retries=5, initial=0.01, give_up_on=(LookupError,)),
)
def fail(kind: str) -> None:
    raise {"key": KeyError, "value": ValueError}[kind]("no")


@job(
    name="cpu_fail_late",
    executor="process",
    queue="cpu",
    retry=RetryPolicy(max_retries=5, initial=0.01, give_up_on=(LookupError,)),
)
def fail_late() -> None:
    from tests.worker.slow_errors import Late

    raise Late("no")


@job(name="cpu_text", executor="process", queue="cpu", retry=RetryPolicy(max_retries=5, initial=0.01))
def text(length: int) -> str:
    return "x" * length


@job(name="cpu_crash", executor="process", queue="cpu", retry=RetryPolicy(max_retries=1, initial=0.01))
def crash() -> None:
    os._exit(9)


@job(name="cpu_steer", executor="process", queue="cpu")
async def steer(how: str) -> str:
    job = current_job()
    if how == "cancel":
        raise Cancel("not wanted")
    if how == "retry" and job.attempt == 1:
        raise Retry(0.01)
    if how == "snooze" and time.time() - job.created_at.timestamp() < 1:
        raise Snooze(1)
    return f"attempt {job.attempt}"


@job(name="cpu_end", executor="process", queue="cpu", retry=RetryPolicy(max_retries=0))
def end(how: str) -> object:
    """Report a progress and end in an unusual way."""
    current_job().progress(1)
    if how == "object":
        return object()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {"interrupt": KeyboardInterrupt, "exit": SystemExit, "generator": GeneratorExit, "iterator": StopIteration}[
        how
    ]


@job(name="cpu_nap", executor="process", queue="cpu", timeout=2, retry=RetryPolicy(max_retries=0))
def nap(seconds: float) -> float:
    """Return how much of the timeout was left at the start."""
    deadline = current_job().deadline
    assert deadline is not None
    left = deadline.timestamp() - time.time()
    time.sleep(seconds)
    return left


@job(name="cpu_wait_for", executor="process", queue="cpu", acks="early")
def wait_for(gate: str) -> None:
    """Note in a file beside the gate that it has begun, and run until there is a gate."""
    Path(f"{gate}.begun").touch()
    while not os.path.exists(gate):
        time.sleep(0.01)


def resource() -> int:
    return 1


def with_resource(number: int = Inject(resource)) -> None: ...


def step_by_step() -> None:
    """Begin, wait for the gate, and end: files of the directory that the environment names."""
    place = Path(os.environ["STEPS_IN"])
    (place / "begun").touch()
    while not (place / "gate").exists():
        time.sleep(0.02)
    (place / "done").touch()
