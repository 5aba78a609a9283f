"""The terms of approvals: defaults, rejections, channels."""

from typing import Literal, TypeAlias

Default: TypeAlias = Literal["approve", "reject", "fail"]
"""What happens at the deadline without a decision. `fail` fails the job as `approval_expired`."""
OnReject: TypeAlias = Literal["fail", "continue"]
"""What a rejection does: `fail` fails the job as `approval_rejected`; `continue` ends it with `approved: false`."""
Channel: TypeAlias = Literal["api", "console", "cli", "link", "deadline"]
"""Where a decision was made. `deadline`: no person decided in time."""
