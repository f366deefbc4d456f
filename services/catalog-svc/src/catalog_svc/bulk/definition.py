"""What a line of an import says beside its entry."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dxmesh_schemas.text import Name, Paragraph


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecrecyAssessed(_Part):
    """保密风险评估: whether secrets could get out."""

    outcome: Literal["passed", "failed"]
    assessed_by: Name
    assessed_on: date | None = None
    note: Paragraph | None = None


class PersonalInformationAssessed(_Part):
    """个人信息保护影响评估 (PIPL Art. 55): `none` when there is no personal information."""

    outcome: Literal["none", "passed", "failed"]
    assessed_by: Name
    assessed_on: date | None = None
    note: Paragraph | None = None


class Assessments(_Part):
    """The two assessments an approval rests on (GDSR Art. 13)."""

    secrecy_risk: SecrecyAssessed
    personal_information: PersonalInformationAssessed
