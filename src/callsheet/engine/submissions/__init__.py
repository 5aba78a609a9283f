"""Provider submissions: submit once, poll, reconcile, receive webhooks, cancel."""
