"""What this version understands and does not do is named."""

from meshlib.policy import Policy, unsupported


def test_names_what_is_not_implemented() -> None:
    """Groups of later versions are listed where they are on, in defaults, services and routes."""
    document = Policy(
        hedge=False, services={"orders": {"hedge": True, "routes": [{"hedge": {"delay": 1}}]}}
    ).document
    assert [path for path, _ in unsupported(document)] == [
        ("services", "orders", "hedge"),
        ("services", "orders", "routes", 0, "hedge"),
    ]
    assert unsupported(Policy(timeout=1).document) == []
