"""A chaos program: a whole deployment under load, with faults at random, and an audit at the end.

    python -m tests.chaos --minutes 4 --seed 7

- `processes`: the API server and the workers, started again when they end;
- `links`: a proxy for every connection between the parts;
- `system`: the deployment;
- `load`: a client that submits plans, cancels and retries;
- `faults`: what can go wrong, and in which order;
- `audit`: what must hold at the end; `event_audit`, `file_audit`, `payment_audit` and `callback_audit` are its parts;
- `report`: the table.
"""
