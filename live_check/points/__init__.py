"""The points: each is a function that asks AWS one question. Its docstring has the question, what is seen, and a source."""

from live_check.points import account, mediaconnect, mediapackage, mediatailor, mediatailor_grants
from live_check.points.register import POINTS, Point, point_named

__all__ = ["POINTS", "Point", "account", "mediaconnect", "mediapackage", "mediatailor", "mediatailor_grants", "point_named"]
