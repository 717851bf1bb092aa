"""Parameters: one typed model tree that mirrors ``params.yaml``."""

from sreclip.config.load import dump_params, load_params, parse_params, read_values
from sreclip.config.models import Params

__all__ = ["Params", "dump_params", "load_params", "parse_params", "read_values"]
