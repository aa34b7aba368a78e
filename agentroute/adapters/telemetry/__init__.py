"""Traces: the events of a run as OpenTelemetry spans, and where the spans go.

Importing this package is cheap. `opentelemetry` itself is imported by `provider.Traces`, once something is traced.
"""
