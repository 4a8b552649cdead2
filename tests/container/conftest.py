"""What the container's tests share with those of the server: a Triton that is ready in a moment."""

from tests.integration.conftest import echo_repository as echo_repository
from tests.integration.conftest import unused_port as unused_port
