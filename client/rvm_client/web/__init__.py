"""A page to try it: `rvm-web`. What it mattes, it mattes as the other edges do."""

from rvm_client.web.serving import PageServer
from rvm_client.web.settings import PageLimits, PageOptions

__all__ = ["PageLimits", "PageOptions", "PageServer"]
