"""Stand-ins of providers: real web servers that speak as a provider does, in any weather one asks for.

    async with FakeReplicate() as replicate:
        replicate.forecast(submit=[Busy(after=2), Cut(accepted=True)], webhook=[Calls(times=2)])
        replicate.course(Waits(), Runs(0.4), Succeeds())
        settings = Settings(**replicate.settings())

They count what would have been paid (`paid`), and keep what came (`came`), what was accepted (`taken`) and what
webhooks were told (`told`).

- `weather`: what happens to requests; `course`: what tasks go through; `calling`: what webhooks do;
- `stand_in`: what all have in common; a file for each provider;
- `mailbox`: an address that keeps what it is told.
"""
