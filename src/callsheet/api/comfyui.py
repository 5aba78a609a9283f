"""ComfyUI servers: their states."""

from fastapi import APIRouter
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.comfyui.server_records import ServerRecord
from callsheet.domain.model import Model

router = APIRouter(prefix="/api/comfyui", tags=["comfyui"])


class ComfyUIServerList(Model):
    """The ComfyUI servers of the settings."""

    servers: list[ServerRecord]
    problem: str | None = Field(None, description="Why there are none: COMFYUI_API_URL is invalid")


@router.get(
    "/servers",
    name="list_comfyui_servers",
    summary="List ComfyUI servers",
    responses={**problem_responses(), 200: examples.comfyui_servers},
)
async def list_servers(runtime: RuntimeDep) -> ComfyUIServerList:
    """Return the ComfyUI servers in the settings of this server, with their states. Each is asked; that takes up to ten
    seconds if one does not respond. Requests within three seconds share one check.
    """
    servers = await runtime.comfyui_servers.read()
    return ComfyUIServerList(servers=servers, problem=runtime.comfyui_servers.problem)
