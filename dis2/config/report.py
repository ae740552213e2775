"""What the report shows."""

from pydantic import Field

from dis2.config.base import Section


class ReportSettings(Section):
    """The scenes that are mapped and shown, each with its combinations."""

    title: str = Field("", description="the page's title (default: the data set's name)")
    scenes: dict[str, tuple[str, ...]] = Field(
        {},
        description="scene: [optical+sar, sar]; an empty list: all sensors, and each one missing (default: first test scene)",
    )
    explain: tuple[str, ...] | None = Field(
        None,
        description="scenes for which is told what each sensor and resolution gives (default: the first in `scenes` that has "
        "labels; []: none)",
    )
