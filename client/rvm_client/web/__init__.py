"""A page to try it: `rvm-web`. What it mattes, it mattes as the other edges do."""

from rvm_client.web.serving import serve_page
from rvm_client.web.settings import PageOptions

__all__ = ["PageOptions", "serve_page"]
