"""The demo: a real AI workload, metered, charged and gated."""
