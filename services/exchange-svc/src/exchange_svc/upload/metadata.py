"""What the metadata of an upload says: the batch it becomes, and how its file is read."""

from typing import Self
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError

from dxmesh_schemas.problem import Invalid
from dxmesh_tabular.media import parse_content_type
from exchange_svc.batch.inflate import coding_of
from exchange_svc.batch.intake import Declaration
from exchange_svc.batch.query import PushQuery
from exchange_svc.upload import domain


class MetadataInvalid(Invalid):
    """The metadata of an upload do not say what it is to become."""

    slug, title = "upload-metadata-invalid", "The metadata of the upload are not valid"


class UploadMetadata(PushQuery):
    """The keys of Upload-Metadata that are read; others (a file's name, say) are kept and given back."""

    model_config = ConfigDict(extra="ignore")
    resource_id: UUID
    batch_id: UUID
    media_type: str
    content_encoding: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")

    @classmethod
    def read(cls, header: str) -> Self:
        """Read the header. Raises: HeaderUnreadable (400), MetadataInvalid (422)."""
        given = domain.metadata_of(header)
        if "filetype" in given:  # as clients in browsers name it
            given.setdefault("media_type", given["filetype"])
        try:
            return cls.model_validate(given)
        except ValidationError as wrong:
            faults = [("".join(map(str, fault["loc"][:1])), fault["msg"]) for fault in wrong.errors()]
            raise MetadataInvalid(
                "Upload-Metadata: " + "; ".join(f"{name}: {what}" for name, what in faults),
                errors=[{"pointer": f"header:Upload-Metadata/{name}", "detail": what} for name, what in faults],
            ) from None

    def declaration(self, byte_count: int) -> Declaration:
        """Return what a push of the same file would say. Raises: UnsupportedMedia (415), CodingUnsupported (415)."""
        content = parse_content_type(self.media_type)
        return Declaration(
            kind=self.kind,
            version=self.version,
            media=content.media,
            coding=coding_of(self.content_encoding),
            delimiter=self.delimiter or content.delimiter,
            encoding=self.encoding or content.encoding,
            sheet=self.sheet,
            digests={"sha256": bytes.fromhex(self.sha256)} if self.sha256 else {},
            length=byte_count,
        )
