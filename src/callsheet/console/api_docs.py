"""The API description for people: Swagger UI, served by this server."""

from fastapi import APIRouter, Request, Response

from callsheet.console.responses import page_response

router = APIRouter()


@router.get("/docs")
async def api_docs(request: Request) -> Response:
    """Show the OpenAPI document."""
    return page_response(request, "api-docs.html")
