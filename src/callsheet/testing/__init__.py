"""Test kit for authors of operations and providers.

- `context`: a context for one operation, without a database;
- `engine`: an engine inside the test's process;
- `operations`: sample operations that sleep, fail, hang or crash;
- `waiters`: waiting for a condition;
- `fake_provider`: a provider controlled by the test;
- `provider_contract`: a test suite that every provider must pass.
"""
