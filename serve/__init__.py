"""A model package over HTTP. Importing this stage, and everything it needs to answer, brings no torch."""

from serve.app import create_app
from serve.settings import ServeSettings

__all__ = ["ServeSettings", "create_app"]
