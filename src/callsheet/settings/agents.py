"""The MCP server for agents."""

from pydantic import BaseModel, Field, SecretStr


class AgentSettings(BaseModel):
    """The MCP server for agents."""

    mcp_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of `callsheet mcp --http`, at least 16 characters; agents send it as `Authorization: Bearer "
        "…`. Required to listen on another address than loopback",
    )
