"""Test kit of Callsheet, also for authors of operations and providers.

- `engine`: an engine inside the test process;
- `context`: the context of one operation, without a database;
- `operations`: operations that do nothing, fail, hang or crash on demand;
- `proxy`: a network proxy that can cut, slow down or silence connections;
- `provider_contract`: the contract suite for providers; fakes of real providers are in `callsheet.fakes.providers`;
- `fake_provider`: a provider in a folder, controlled by the test;
- `worker`: a worker in a separate process, to be killed.
"""
