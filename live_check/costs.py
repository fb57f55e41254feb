"""What a run costs, with AWS's prices for us-east-1. The sources are in docs/live-check.md."""

HOURS_OF_A_MONTH = 730
KEY_USD_PER_MONTH = 1.0
SECRET_USD_PER_MONTH = 0.40
KEYS, SECRETS = 2, 10

# A key that is scheduled for deletion is not charged. Source locations, endpoints without content and stopped flows are free.
USD_PER_HOUR = (KEYS * KEY_USD_PER_MONTH + SECRETS * SECRET_USD_PER_MONTH) / HOURS_OF_A_MONTH
# Requests of KMS, Secrets Manager, SQS and EventBridge: a few hundred, at most 0.05 USD for 10,000.
REQUESTS_USD = 0.01


def estimate(hours: float) -> float:
    """Returns US dollars for a run that takes `hours`, rounded up to a cent."""
    cents = (USD_PER_HOUR * hours + REQUESTS_USD) * 100
    return -(-cents // 1) / 100
