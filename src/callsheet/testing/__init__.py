"""What Callsheet tests itself with, for those who write operations and providers of their own.

- `engine`: an engine inside the test's own process;
- `context`: the context of one operation, without a database;
- `operations`: operations that do nothing, fail, hang or crash as they are told;
- `proxy`: a network in between that can be cut, slowed down, or go silent;
- `providers`: stand-ins of real providers, which answer over HTTP, in any weather;
- `provider_contract`: what every provider must do, as a suite of tests;
- `toy_provider`: a provider in a folder, which does as it is told;
- `worker`: a worker as a process of its own, to be killed.
"""
