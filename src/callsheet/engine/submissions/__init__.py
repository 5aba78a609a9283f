"""Provider submissions: submit once, reconcile, poll, receive webhooks, cancel.

A provider charges for each accepted request, so a request must never be sent twice. Four rules ensure this:

1. The submission is committed to the database before its request is sent (`submit_once`).
2. A unique index permits one open submission per job and step. Later runs find it and wait for its task.
3. If the response was lost, the outcome is unknown. The request is not sent again; instead its task is searched in the
   list of the provider or taken from a webhook (`reconciler`).
4. If the task is not found, the job fails with `submission_unknown`. Only a manual retry with resubmit sends again.
"""
