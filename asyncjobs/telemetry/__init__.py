"""OpenTelemetry around sending and running: spans, metrics, and gauges of the queues."""

from asyncjobs.telemetry.gauges import QueueGauges
from asyncjobs.telemetry.metrics import Metrics
from asyncjobs.telemetry.tracing import Tracing

__all__ = ["Metrics", "QueueGauges", "Tracing"]
