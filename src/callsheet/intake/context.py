"""What Callsheet offers to an intake, from the runtime of its process."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, InvalidState
from callsheet.domain.ids import new_id
from callsheet.engine.intake_messages import find_message_execution
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.files.object_keys import UPLOADS
from callsheet.intake.contract import Outcome, PublishedFile
from callsheet.settings import Settings
from callsheet.wiring import Runtime


class RuntimeContext:
    """The context of one intake process."""

    def __init__(self, runtime: Runtime, intake: str) -> None:
        self._runtime = runtime
        self._intake = intake
        self._id = new_id()

    @property
    def settings(self) -> Settings:
        """The settings of this installation."""
        return self._runtime.settings

    @property
    def owner(self) -> UUID:
        """Id of this intake process."""
        return self._id

    async def cancel(self, source: str, message_id: str) -> bool:
        """Cancel the execution of a message. Returns False for an unknown message or an ended execution."""
        database = self._runtime.database
        execution_id = await find_message_execution(database, self._intake, source, message_id)
        if execution_id is None:
            return False
        try:
            await cancel_execution(database, execution_id)
        except InvalidState:
            return False
        return True

    async def publish(self, outcome: Outcome, source: str) -> list[PublishedFile]:
        """Publish the files that the plan asks for, under keys below the name of the source. Can be repeated."""
        wanted = outcome.execution.metadata.get("publish")
        reserved = {UPLOADS, *self._runtime.catalog}
        published = []
        for entry in wanted if isinstance(wanted, list) else []:
            artifact, key = _wanted_file(outcome, entry)
            if not key.startswith(f"{source}/") or source in reserved:
                raise BadSource(f"The key '{key}' cannot be published: it must start with '{source}/'")
            published.append(await self._publish(artifact, key))
        return published

    async def _publish(self, artifact: Artifact, key: str) -> PublishedFile:
        storage, lifetime = self._runtime.storage, self._runtime.settings.signed_url_ttl
        await storage.copy(artifact.key, key)
        # A folder has no URLs of its own: the server delivers the artifact, whose contents are the same.
        url, expires = self._runtime.sign(artifact)
        return PublishedFile(key, storage.sign(key, lifetime=lifetime) or url, expires, artifact)


def _wanted_file(outcome: Outcome, entry: Any) -> tuple[Artifact, str]:
    try:
        found = outcome.results[entry["job"]][entry["field"]]
        artifact = Artifact.model_validate({name: found[to_camel(name)] for name in Artifact.model_fields})
        return artifact, str(entry["key"])
    except (KeyError, TypeError, ValidationError):
        raise BadSource(f"The plan asks to publish {entry!r}, which is no file of a succeeded job") from None
