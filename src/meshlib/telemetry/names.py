"""Names: every span, attribute and instrument that meshlib emits, in one place.

The HTTP and network names are those of the OpenTelemetry semantic conventions 1.44 (stable). They are written out here, because
the constants of the semconv package live in modules that move when a convention becomes stable. `meshlib.*` names are ours: no
convention exists for breakers, budgets or discovery. docs/reference/telemetry.md explains each.
"""

from __future__ import annotations

__all__ = ["DURATION_BUCKETS", "SCHEMA_URL", "SCOPE"]

SCOPE = "meshlib"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# Semantic conventions: HTTP client, network, errors.
HTTP_REQUEST_METHOD = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL = "http.request.method_original"
HTTP_REQUEST_RESEND_COUNT = "http.request.resend_count"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
URL_FULL = "url.full"
NETWORK_PEER_ADDRESS = "network.peer.address"
NETWORK_PEER_PORT = "network.peer.port"
NETWORK_PROTOCOL_VERSION = "network.protocol.version"
ERROR_TYPE = "error.type"
OTHER_METHOD = "_OTHER"

HTTP_CLIENT_REQUEST_DURATION = "http.client.request.duration"
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds: the boundaries that the conventions ask of `http.client.request.duration`."""

# Ours: spans.
CALL_SPAN = "meshlib.call"
"""The logical call is named `meshlib.call orders`: few names, none of them from the URL."""
ATTEMPT_SPAN = "meshlib.attempt"
"""An attempt of a protocol that we know nothing of: `meshlib.attempt orders`."""

# Ours: attributes.
SERVICE = "meshlib.service"
ROUTE = "meshlib.route"
CLUSTER = "meshlib.cluster"
OUTCOME = "meshlib.outcome"
REASON = "meshlib.reason"
STATE = "meshlib.state"
BREAKER_KIND = "meshlib.breaker.kind"
ATTEMPT_NUMBER = "meshlib.attempt.number"
ATTEMPTS_MADE = "meshlib.attempts"
STOP = "meshlib.stop"
"""Why the call was not tried once more: attempts, budget, deadline, not_safe ..."""

# Ours: instruments.
CALLS = "meshlib.calls"
CALL_DURATION = "meshlib.call.duration"
ATTEMPTS = "meshlib.attempts"
RETRIES = "meshlib.retries"
REFUSALS = "meshlib.refusals"
BUDGET_BALANCE = "meshlib.budget.balance"
BREAKER_STATE = "meshlib.breaker.state"
BREAKER_TRANSITIONS = "meshlib.breaker.transitions"
EJECTIONS = "meshlib.ejections"
ENDPOINTS = "meshlib.endpoints"
IN_FLIGHT = "meshlib.in_flight"
DISCOVERY_AGE = "meshlib.discovery.age"
DISCOVERY_UPDATES = "meshlib.discovery.updates"
POLICY_AGE = "meshlib.policy.age"
POLICY_REFUSALS = "meshlib.policy.refusals"
