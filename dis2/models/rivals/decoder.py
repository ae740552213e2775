"""The plain decoder that fusion rivals share, so that what differs between them is how sensors are fused."""

from __future__ import annotations

from torch import Tensor, nn

from dis2.models.decoding import Finish, Skips, steps
from dis2.models.layers import NormReLU, PixelNorm, doubled, finest, widths


class Decoder(nn.Module):
    """A U with the layers of our own decoder, but all classes at once: up from level 4 with a skip and a head at each level."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.norm = PixelNorm(widths(width)[-1])
        self.skips = Skips(width)
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in steps(width)])
        self.norms = nn.ModuleList([NormReLU(b) for _, b in steps(width)])
        self.heads = nn.ModuleList([nn.Conv2d(c, classes, 1) for c in (widths(width)[-1], *(b for _, b in steps(width)))])
        self.edge = nn.Conv2d(width // 2, finest(width), 1)
        self.finish = Finish(finest(width), width, classes)

    def forward(self, fused: list[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """From levels 0 to 4: logits [B, K, H, W], logits of the scales coarse to fine, penultimate features [B, F, H, W]."""
        stem, *levels = fused
        found = [self.norm(levels[-1])]
        for narrow, norm, skip in zip(self.narrow, self.norms, self.skips(levels), strict=True):
            found.append(norm(doubled(narrow(found[-1])) + skip))  # [B, C / 2, 2 h, 2 w]
        logits, penultimate = self.finish(found[-1], lambda x: x.add_(self.edge(stem)))
        return logits, [head(x) for head, x in zip(self.heads, found, strict=True)], penultimate
