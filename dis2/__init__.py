"""dis2: maps from several sensors that stay good when sensors go missing."""

__version__ = "0.1.0"
