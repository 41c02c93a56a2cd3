"""What is waiting: transactions not yet archived, conflicts, orphans, bodies (PROTOCOL 9)."""
