"""Fake providers: real web servers that speak the wire format of a provider, with faults on demand.

    async with FakeReplicate() as replicate:
        replicate.inject_faults(submit=[RateLimited(after=2), CutConnection(accepted=True)])
        replicate.script(Queued(), Running(0.4), Succeeded())
        async with discover_providers(Settings(), provider_settings=[replicate.provider_settings()]) as providers:
            task = await providers["replicate"].submit(replicate.example_request())

They count the accepted submissions (`paid`), and record all requests (`requests`), accepted submissions (`tasks`) and
sent webhooks (`sent_webhooks`).

- `faults`: faults of requests; `task_script`: stages of tasks; `webhook_script`: delivery of webhooks;
- `fake_server`: the base class; one file for each provider;
- `webhook_receiver`: a server that records the webhooks it receives.
"""
