"""What can be set about the reference."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ReferenceSettings(BaseModel, frozen=True, extra="forbid"):
    """Whether boosted trees are trained beside the network.

    Attributes:
        enabled: Whether they are.
    """

    enabled: bool = Field(True, description="whether boosted trees are trained, too")
