"""Benchmarks of waiting for external work: polling, webhooks, and a ComfyUI server."""
