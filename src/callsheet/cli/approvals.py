"""`callsheet approvals`: list what jobs ask people, and decide it."""

from typing import Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, Url

group = typer.Typer(help="List and decide what jobs ask people.", no_args_is_help=True)

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="Id of the approval")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Name of the person who decides; default: your user name")
]
CommentOption = Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="Why, for people and later jobs")]


@group.callback()
def approvals() -> None:
    """List and decide what jobs ask people."""


@group.command("list")
def list_approvals(
    status: Annotated[
        str, typer.Option(metavar="STATUS", help="open, approved, rejected, expired, withdrawn, or all")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of approvals")] = 50,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List approvals, newest first: those that wait for a decision, or others."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        response = client.get("/api/approvals", status=None if status == "all" else status, limit=limit)
    if as_json:
        show_json(response)
        return
    show_columns(
        ("APPROVAL", "STATUS", "TITLE", "JOB", "DEADLINE", "DEFAULT", "BY"),
        [
            (
                each["id"],
                each["status"],
                each["title"],
                each["jobId"],
                time_text(each["deadline"]),
                each["default"],
                each["by"],
            )
            for each in response["approvals"]
        ],
    )


@group.command()
def show(approval_id: ApprovalId, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Print an approval: the question, the files to look at, and the decision or the link to its page."""
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        _show(client.get(f"/api/approvals/{_checked(approval_id)}"), as_json=as_json)


@group.command()
def approve(
    approval_id: ApprovalId,
    by: By = None,
    comment: CommentOption = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Say yes: the job succeeds."""
    _decide("approve", approval_id, by, comment, as_json=as_json, url=url, api_key=api_key)


@group.command()
def reject(
    approval_id: ApprovalId,
    by: By = None,
    comment: CommentOption = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Say no: the job fails, or succeeds with `approved: false`, as its param `onReject` says."""
    _decide("reject", approval_id, by, comment, as_json=as_json, url=url, api_key=api_key)


def _decide(
    action: str,
    approval_id: str,
    by: str | None,
    comment: str | None,
    *,
    as_json: bool,
    url: str | None,
    api_key: str | None,
) -> None:
    from callsheet.cli.remote import connect

    body = {"by": by or _user_name(), "comment": comment, "how": "cli"}
    with connect(url, api_key) as client:
        _show(client.post(f"/api/approvals/{_checked(approval_id)}/{action}", body), as_json=as_json)


def _user_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without an account; KeyError before Python 3.13
        raise typer.BadParameter("your user has no name; give one", param_hint="--by") from None


def _checked(approval_id: str) -> str:
    from uuid import UUID

    try:
        return str(UUID(approval_id))
    except ValueError:
        raise typer.BadParameter(
            f"'{approval_id}' is not the id of an approval; `callsheet approvals list` prints the ids", param_hint="ID"
        ) from None


def _show(approval: dict[str, Any], *, as_json: bool) -> None:
    from callsheet.cli.printing import show, show_json, time_text

    if as_json:
        show_json(approval)
        return
    lines = {
        "approval": approval["id"],
        "status": approval["status"],
        "title": approval["title"],
        "text": approval["text"],
        "execution": approval["executionId"],
        "job": approval["jobId"],
        "deadline": time_text(approval["deadline"]),
        "default": approval["default"],
        "on reject": approval["onReject"],
        "decided by": approval["by"],
        "comment": approval["comment"],
        "decided at": approval["decidedAt"] and time_text(approval["decidedAt"]),
        "how": approval["how"],
        "link": approval["url"],
    }
    for name, value in lines.items():
        if value is not None:
            show(f"{name:<11}{value}")
    for file in approval["previews"]:
        show(f"{'preview':<11}{file['name']} {file['url']}")
