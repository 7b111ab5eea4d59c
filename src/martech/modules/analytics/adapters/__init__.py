"""The engines that can be the event store, by scheme of MARTECH_ANALYTICS_STORE_URL."""

from martech.modules.analytics.adapters.duck import DuckStore

__all__ = ["DuckStore"]
