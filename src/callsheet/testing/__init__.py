"""What Callsheet tests itself with, for those who write operations of their own.

- `engine`: an engine inside the test's own process;
- `context`: the context of one operation, without a database;
- `operations`: operations that do nothing, fail, hang or crash as they are told;
- `proxy`: a network in between that can be cut, slowed down, or go silent;
- `toy_provider`: a provider in a folder, which does as it is told;
- `worker`: a worker as a process of its own, to be killed.
"""
