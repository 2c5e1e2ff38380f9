"""HTTP end to end: nginx on one core, one client at a time on another, every cell in a process of its own."""
