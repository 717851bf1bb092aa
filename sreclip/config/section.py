"""The base of all parameter models, and types that several of them use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import CoreSchema, core_schema


class Section(BaseModel):
    """A section of the parameters: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ValueError("use cpu, cuda, cuda:N (the N-th GPU, from 0) or mps")
    return name


Device = Annotated[str, AfterValidator(_device)]


@dataclass(frozen=True)
class OneOf:
    """In ``Annotated[str, OneOf(...)]``: a string that is one of these, as with `Literal`."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))
