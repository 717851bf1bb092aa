"""What the settings of several trained methods have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sreclip.config.method import Fraction, Settings

# What several methods have with different defaults.
AdamRate = Annotated[float, Field(gt=0, description="Adam's learning rate.")]
Steps = Annotated[int, Field(ge=0, description="Optimization steps.")]
SourceBatch = Annotated[int, Field(ge=1, description="Source images per step.")]
PairedBatch = Annotated[int, Field(ge=1, description="Source images and target images per step.")]
GcnWidth = Annotated[int, Field(ge=1, description="Hidden width of the graph convolution.")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Dropout before each graph convolution.")]
AdapterRate = Annotated[float, Field(gt=0, description="SGD's rate for the image adapter.")]
GcnRate = Annotated[float, Field(gt=0, description="SGD's rate for the graph convolution.")]
Rank = Annotated[float, Field(ge=0, description="Weight of the rank loss on class distances.")]
RankSample = Annotated[
    int, Field(ge=1, description="Pairs of class distances drawn per step, beyond 64 classes.")
]
Entropy = Annotated[float, Field(ge=0, description="Weight of the target predictions' entropy.")]
Diversity = Annotated[
    float, Field(ge=0, description="Weight of the entropy of the mean prediction over a bank.")
]
BankSize = Annotated[int, Field(ge=1, description="Target images in that bank.")]
Balance = Annotated[float, Field(ge=0, description="Weight of the limited balance u + c^2 / u.")]
UnknownMass = Annotated[
    Fraction,
    Field(
        description="c: the unknown probability mass that the balance aims at. The authors use "
        "0.09 (UODTN) and 0.3 (TSCE, SRE-CLIP) for I2AwA, 0.82 for I2WebV."
    ),
]


class GcnSettings(Settings):
    """A graph convolution."""

    gcn_width: GcnWidth = 1024
    dropout: Dropout = 0.5
