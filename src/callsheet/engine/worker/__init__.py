"""The worker: loop, executor, context, heartbeat, scheduler, rescuer, cleaner."""
