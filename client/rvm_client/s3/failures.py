"""What S3 calls its failures."""

CREDENTIAL_CODES = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "401", "Unauthorized"}
)


def failure_code(exc: Exception) -> str | None:
    """S3's name for a failure that boto3 raised; None where no answer came."""
    response = getattr(exc, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code else None
