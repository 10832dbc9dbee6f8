"""Tests of telemetry have a collector."""

from telemetry.collector import collector

__all__ = ["collector"]
