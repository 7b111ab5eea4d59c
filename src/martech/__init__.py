"""A marketing platform in one process that can be taken apart."""

__version__ = "0.1.0"
