"""The tests run against the installed package; `tests.` is importable for what they share."""
